//! What a face does: a dozen movements, loosely after the action units of the Facial Action Coding System (Ekman and
//! Friesen 1978), and their usual combinations.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use crate::classes::expression_of;

/// Movements; 0 is rest, 1 is as far as it goes, negative is the other way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Expression {
    /// Inner ends of the brows up (unit 1) or down (4).
    pub inner_brow: f32,
    /// Outer ends of the brows up (2).
    pub outer_brow: f32,
    /// Brows drawn together (4).
    pub brow_knit: f32,
    /// Upper lids up (5) or down (43).
    pub eye_open: f32,
    /// Cheeks and lower lids up (6, 7).
    pub cheek: f32,
    /// Wrinkles over the nose (9).
    pub nose_wrinkle: f32,
    /// Upper lip up (10).
    pub upper_lip: f32,
    /// Corners of the mouth up (12) or down (15).
    pub mouth_corner: f32,
    /// Mouth wider (20) or narrower (18).
    pub mouth_width: f32,
    /// Jaw down (26, 27).
    pub jaw_drop: f32,
    /// Lips pressed (24).
    pub lip_press: f32,
    /// Teeth bared.
    pub teeth: f32,
    /// One corner of the mouth only (14).
    pub one_corner: f32,
}

const MOVEMENTS: usize = 13;

/// Shares of the classes, roughly those of pictures found on the web.
const EXPRESSIONS: [(&str, f64, [f32; MOVEMENTS]); 8] = [
    ("neutral", 0.19, [0.0; MOVEMENTS]),
    ("happiness", 0.25, [0.1, 0.1, 0.0, -0.25, 0.9, 0.0, 0.1, 1.0, 0.55, 0.25, 0.0, 0.75, 0.0]),
    ("sadness", 0.16, [0.9, -0.35, 0.45, -0.4, 0.0, 0.0, 0.0, -0.85, -0.15, 0.0, 0.15, 0.0, 0.0]),
    ("surprise", 0.12, [0.95, 0.95, -0.1, 0.9, 0.0, 0.0, 0.0, 0.0, -0.35, 0.95, 0.0, 0.0, 0.0]),
    ("fear", 0.11, [0.95, 0.35, 0.55, 0.8, 0.0, 0.0, 0.15, -0.45, 0.55, 0.4, 0.0, 0.45, 0.0]),
    ("disgust", 0.05, [-0.55, -0.2, 0.4, -0.5, 0.5, 1.0, 0.95, -0.45, 0.1, 0.1, 0.0, 0.35, 0.0]),
    ("anger", 0.12, [-1.0, 0.2, 1.0, 0.2, 0.1, 0.3, 0.2, -0.45, 0.1, 0.0, 0.85, 0.0, 0.0]),
    ("contempt", 0.05, [-0.1, 0.15, 0.0, -0.3, 0.1, 0.0, 0.1, 0.05, 0.0, 0.0, 0.25, 0.0, 1.0]),
];

impl Expression {
    /// How frequent a class is, against the others.
    pub(super) fn share(class: &str) -> f64 {
        let expression = expression_of(class);
        EXPRESSIONS.iter().find(|(name, ..)| Some(*name) == expression).map_or(0.1, |(_, share, _)| *share)
    }

    /// A class in the person's own way: more or less intense, blended with a little of another expression, every
    /// movement a bit off.
    pub(super) fn of(class: &str, rng: &mut ChaCha8Rng) -> Self {
        let usual = usual_movements(class);
        let other = EXPRESSIONS[rng.random_range(0..EXPRESSIONS.len())].2;
        let intensity = 0.45 + 0.7 * rng.random::<f32>().powf(0.7);
        let blend = 0.33 * rng.random::<f32>().powf(2.5);
        let mut movements = [0.0; MOVEMENTS];
        for (i, movement) in movements.iter_mut().enumerate() {
            *movement = intensity * usual[i] + blend * other[i] + 0.1 * normal(rng);
        }
        // People also shout in anger: the same brows over another mouth.
        if expression_of(class) == Some("anger") && rng.random_bool(0.35) {
            movements[9] += 0.6 * intensity;
            movements[10] = 0.0;
            movements[11] += 0.8 * intensity;
        }
        Self::from_movements(movements)
    }

    fn from_movements(m: [f32; MOVEMENTS]) -> Self {
        let up = |value: f32| value.clamp(0.0, 1.2);
        let both = |value: f32| value.clamp(-1.2, 1.2);
        Self {
            inner_brow: both(m[0]),
            outer_brow: both(m[1]),
            brow_knit: up(m[2]),
            eye_open: both(m[3]),
            cheek: up(m[4]),
            nose_wrinkle: up(m[5]),
            upper_lip: up(m[6]),
            mouth_corner: both(m[7]),
            mouth_width: both(m[8]),
            jaw_drop: up(m[9]),
            lip_press: up(m[10]),
            teeth: up(m[11]),
            one_corner: up(m[12]),
        }
    }
}

/// The table's movements, or for a class that is no known expression some made of its name, the same every time.
fn usual_movements(class: &str) -> [f32; MOVEMENTS] {
    let expression = expression_of(class);
    if let Some((_, _, movements)) = EXPRESSIONS.iter().find(|(name, ..)| Some(*name) == expression) {
        return *movements;
    }
    let hash = blake3::hash(class.to_lowercase().as_bytes());
    let mut movements = [0.0; MOVEMENTS];
    for (movement, byte) in movements.iter_mut().zip(hash.as_bytes()) {
        *movement = f32::from(*byte) / 127.5 - 1.0;
    }
    movements
}

/// A normal deviate, near enough: the sum of four uniform ones.
pub(super) fn normal(rng: &mut ChaCha8Rng) -> f32 {
    let sum: f32 = (0..4).map(|_| rng.random_range(-1.0f32..1.0)).sum();
    sum * 0.866
}

//! Who a face belongs to: everything that stays when the expression goes.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::{Color, shade};
use super::expression::normal;

/// A person. Lengths are in units of half the head's height.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub skin: Color,
    pub hair: Color,
    pub eyes: Color,
    pub clothes: Color,
    /// Half the width of the head, and how much it narrows to the chin.
    pub head_width: f32,
    pub jaw_narrow: f32,
    pub eye_distance: f32,
    pub eye_size: f32,
    pub eye_height: f32,
    pub brow_thickness: f32,
    pub brow_height: f32,
    pub nose_length: f32,
    pub nose_width: f32,
    pub mouth_width: f32,
    pub lip_fullness: f32,
    /// Wrinkles at rest, 0 to 1.
    pub age: f32,
    /// What the face does at rest: brow tilt, corners of the mouth, lids.
    pub resting_brow: f32,
    pub resting_corner: f32,
    pub resting_lids: f32,
    /// Where the hair begins, and how far it reaches down behind the head.
    pub hairline: f32,
    pub hair_length: f32,
    pub hair_volume: f32,
    pub parting: f32,
    pub beard: f32,
    pub glasses: bool,
}

const SKIN: [Color; 7] = [
    [245.0, 214.0, 192.0],
    [233.0, 193.0, 165.0],
    [219.0, 172.0, 138.0],
    [195.0, 146.0, 110.0],
    [160.0, 113.0, 82.0],
    [120.0, 82.0, 60.0],
    [86.0, 59.0, 45.0],
];
const HAIR: [Color; 6] = [
    [26.0, 22.0, 22.0],
    [58.0, 40.0, 30.0],
    [96.0, 66.0, 42.0],
    [176.0, 140.0, 88.0],
    [142.0, 74.0, 42.0],
    [172.0, 170.0, 168.0],
];
const EYES: [Color; 4] = [[66.0, 42.0, 28.0], [92.0, 68.0, 40.0], [78.0, 104.0, 124.0], [86.0, 110.0, 78.0]];

impl Person {
    pub(super) fn new(rng: &mut ChaCha8Rng) -> Self {
        let tone = rng.random_range(0..SKIN.len());
        // Dark skin mostly comes with dark hair, and grey hair with age.
        let hair = if tone >= 4 { rng.random_range(0..2) } else { rng.random_range(0..HAIR.len()) };
        let age = if hair == 5 { 0.5 + 0.5 * rng.random::<f32>() } else { 0.6 * rng.random::<f32>() };
        let long = rng.random_bool(0.45);
        let mut vary = |middle: f32, spread: f32| middle + spread * normal(rng).clamp(-2.2, 2.2);
        Self {
            skin: shade(SKIN[tone], vary(1.0, 0.05)).map(|value| vary(value, 2.0)),
            hair: HAIR[hair].map(|value| vary(value, 5.0).max(8.0)),
            head_width: vary(0.73, 0.045),
            jaw_narrow: vary(0.27, 0.06).max(0.08),
            eye_distance: vary(0.31, 0.02),
            eye_size: vary(1.0, 0.1),
            eye_height: vary(-0.1, 0.025),
            brow_thickness: vary(0.042, 0.012).max(0.02),
            brow_height: vary(0.205, 0.025),
            nose_length: vary(0.33, 0.03),
            nose_width: vary(0.13, 0.018),
            mouth_width: vary(0.27, 0.025),
            lip_fullness: vary(0.06, 0.015).max(0.025),
            resting_brow: vary(0.0, 0.13),
            resting_corner: vary(0.0, 0.13),
            resting_lids: vary(0.0, 0.11),
            hairline: vary(-0.63, 0.09),
            hair_volume: vary(0.1, 0.04).max(0.03),
            parting: vary(0.0, 0.35),
            age,
            hair_length: if long { 0.5 + 0.7 * rng.random::<f32>() } else { 0.2 * rng.random::<f32>() },
            beard: if !long && rng.random_bool(0.3) { 0.25 + 0.6 * rng.random::<f32>() } else { 0.0 },
            glasses: rng.random_bool(0.17),
            eyes: EYES[rng.random_range(0..EYES.len())],
            clothes: std::array::from_fn(|_| rng.random_range(30.0..220.0)),
        }
    }
}

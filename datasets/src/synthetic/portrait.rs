//! A person with an expression becomes a picture: back to front, then light, lens and noise.

use image::RgbImage;
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use super::canvas::{Canvas, Color, On, Pose, ellipse_distance, mix, shade};
use super::expression::{Expression, normal};
use super::person::Person;

/// One portrait of `side` × `side` pixels.
pub(super) fn draw(person: &Person, expression: &Expression, side: u32, rng: &mut ChaCha8Rng) -> RgbImage {
    let pose = Pose {
        x: 0.5 + 0.035 * normal(rng),
        y: 0.53 + 0.03 * normal(rng),
        scale: (0.41 + 0.035 * normal(rng)).clamp(0.3, 0.52),
        roll: 0.13 * normal(rng),
        yaw: 0.25 * normal(rng).clamp(-1.8, 1.8),
        pitch: 0.13 * normal(rng).clamp(-1.8, 1.8),
    };
    let light = [0.55 * normal(rng).clamp(-1.5, 1.5), -0.35 + 0.3 * normal(rng)];
    let backdrop: [Color; 2] = std::array::from_fn(|_| backdrop_color(rng));
    let tilt: f32 = rng.random_range(-1.0..1.0);
    let mut canvas = Canvas::new(side, &pose, |x, y| {
        mix(backdrop[0], backdrop[1], (x * tilt + y * (1.0 - tilt.abs())).clamp(0.0, 1.0))
    });
    let mut portrait = Portrait { canvas: &mut canvas, person, expression, light };
    portrait.behind();
    portrait.head();
    portrait.nose();
    portrait.eyes();
    portrait.brows();
    portrait.mouth();
    portrait.creases();
    portrait.hair();
    portrait.glasses();
    occlude(&mut canvas, rng);
    photograph(&mut canvas, rng);
    canvas.into_image()
}

struct Portrait<'p> {
    canvas: &'p mut Canvas,
    person: &'p Person,
    expression: &'p Expression,
    /// Where the light comes from, right and down positive.
    light: [f32; 2],
}

const LEFT_RIGHT: [f32; 2] = [-1.0, 1.0];

impl Portrait<'_> {
    /// Hair behind the head, neck and shoulders.
    fn behind(&mut self) {
        let person = self.person;
        let volume = person.hair_volume;
        let down = -0.15 + person.hair_length;
        let (width, height) = (person.head_width + volume * 0.8, (1.0 + volume + down) / 2.0);
        let middle = [0.0, (down - 1.0 - volume) / 2.0];
        self.canvas.ellipse(On::Plane, middle, [width, height], 1.0, shade(person.hair, 0.75));
        let neck = shade(person.skin, 0.72);
        self.canvas.paint(On::Plane, [-0.4, 0.5, 0.4, 1.6], 1.0, |x, _| x.abs() - 0.36, |_, _| neck);
        self.canvas.ellipse(On::Plane, [0.0, 1.85], [1.25, 0.68], 1.0, person.clothes);
    }

    fn head(&mut self) {
        let person = self.person;
        let light = self.light;
        for side in LEFT_RIGHT {
            let ear = [side * person.head_width, 0.05];
            self.canvas.ellipse(On::Plane, ear, [0.09, 0.17], 1.0, shade(person.skin, 0.84));
        }
        let lit = |x: f32, y: f32| {
            // Lambert's cosine on the ellipsoid, over some light from everywhere.
            let (nx, ny) = (x / person.head_width, y);
            let nz = (1.0 - nx * nx - ny * ny).max(0.0).sqrt();
            let facing = (nx * light[0] + ny * light[1] + nz * 0.85).max(0.0);
            shade(person.skin, 0.56 + 0.48 * facing)
        };
        // The chin follows the jaw down.
        let chin = 1.0 + 0.1 * self.expression.jaw_drop;
        let distance = move |x: f32, y: f32| head_distance(person, x, y, chin);
        self.canvas.paint(On::Plane, [-1.0, -1.1, 1.0, 1.2], 1.0, distance, lit);
        if person.beard > 0.0 {
            let beard =
                |x: f32, y: f32| head_distance(person, x, y, chin).max(0.32 + 0.35 * (0.3 - x.abs()).max(0.0) - y);
            self.canvas.paint_soft(On::Plane, [-1.0, 0.2, 1.0, 1.2], person.beard, 0.14, beard, |_, _| {
                shade(person.hair, 0.9)
            });
        }
    }

    fn nose(&mut self) {
        let person = self.person;
        let shadow = shade(person.skin, 0.62);
        let tip = person.eye_height + person.nose_length + 0.06 - 0.04 * self.expression.nose_wrinkle;
        let away = if self.light[0] > 0.0 { -1.0 } else { 1.0 };
        let bridge = [[away * 0.05, person.eye_height], [away * 0.07, tip - 0.15], [away * person.nose_width, tip]];
        self.canvas.crease(bridge, 0.35, shadow);
        self.canvas.glow(On::Surface, [0.0, tip - 0.05], [0.07, 0.09], 0.3, shade(person.skin, 1.15));
        self.canvas.glow(On::Surface, [0.0, tip + 0.06], [person.nose_width * 1.2, 0.06], 0.45, shadow);
        let flare = 1.0 + 0.25 * self.expression.nose_wrinkle;
        for side in LEFT_RIGHT {
            let nostril = [side * person.nose_width * 0.55 * flare, tip + 0.035];
            self.canvas.ellipse(On::Surface, nostril, [0.032, 0.02], 0.75, shade(person.skin, 0.3));
        }
    }

    fn eyes(&mut self) {
        let (person, expression) = (self.person, self.expression);
        let width = 0.145 * person.eye_size;
        let open = (1.0 + 0.75 * expression.eye_open + person.resting_lids).max(0.12);
        let upper = 0.068 * person.eye_size * open;
        let lower = 0.052 * person.eye_size * (1.0 - 0.55 * expression.cheek.min(1.0)).max(0.2) * open.min(1.15);
        let gaze = 0.02 * person.resting_corner;
        for side in LEFT_RIGHT {
            let [cx, cy] = [side * person.eye_distance, person.eye_height];
            let almond = move |x: f32, y: f32| {
                let t = ((x - cx) / width).abs();
                let edge = (1.0 - t * t).max(0.0);
                let reach = if y < cy { upper } else { lower } * edge;
                ((y - cy).abs() - reach).max((t - 1.0) * width)
            };
            let bounds = [cx - width, cy - upper, cx + width, cy + lower];
            self.canvas.glow(On::Surface, [cx, cy], [width * 1.5, 0.17], 0.3, shade(person.skin, 0.62));
            let white = shade([236.0, 234.0, 232.0], 0.8 + 0.2 * (person.skin[0] / 255.0));
            self.canvas.paint(On::Surface, bounds, 1.0, almond, |_, _| white);
            let iris = 0.068 * person.eye_size;
            let in_eye = |x: f32, y: f32| almond(x, y).max((x - cx - gaze).hypot(y - cy + 0.008) - iris);
            let pupil = |x: f32, y: f32| {
                if (x - cx - gaze).hypot(y - cy + 0.008) < iris * 0.5 { [14.0; 3] } else { person.eyes }
            };
            self.canvas.paint(On::Surface, bounds, 1.0, in_eye, pupil);
            self.canvas.ellipse(
                On::Surface,
                [cx + gaze + 0.022, cy - 0.03],
                [0.016, 0.014],
                0.9 * open.min(1.0),
                [255.0; 3],
            );
            let lash = [[cx - side * width, cy], [cx, cy - upper], [cx + side * width, cy + 0.012]];
            self.canvas.stroke(lash, [0.014, 0.022], 0.9, shade(person.hair, 0.5));
            let lid = [[cx - width, cy + 0.01], [cx, cy + lower], [cx + width, cy + 0.01]];
            self.canvas.crease(lid, 0.3 + 0.35 * expression.cheek, shade(person.skin, 0.6));
        }
    }

    fn brows(&mut self) {
        let (person, expression) = (self.person, self.expression);
        let tilt = person.resting_brow;
        let base = person.eye_height - person.brow_height;
        let inner_y = base - 0.105 * (expression.inner_brow + tilt) + 0.02 * expression.nose_wrinkle;
        let outer_y = base + 0.03 - 0.1 * expression.outer_brow + 0.04 * tilt;
        let middle_y = (inner_y + outer_y) / 2.0 - 0.04 - 0.02 * expression.outer_brow;
        let knit = 0.055 * expression.brow_knit;
        let color = mix(person.hair, shade(person.skin, 0.35), 0.35);
        for side in LEFT_RIGHT {
            let inner = side * (person.eye_distance - 0.165 - knit);
            let points = [
                [inner, inner_y],
                [side * (person.eye_distance + 0.015 - knit * 0.5), middle_y],
                [side * (person.eye_distance + 0.2), outer_y],
            ];
            self.canvas.stroke(points, [person.brow_thickness, person.brow_thickness * 0.45], 0.92, color);
        }
    }

    /// Between two parabolas that share their corners; the lips around them, teeth and dark inside.
    fn mouth(&mut self) {
        let (person, expression) = (self.person, self.expression);
        let width =
            (person.mouth_width * (1.0 + 0.3 * expression.mouth_width + 0.1 * expression.mouth_corner)).max(0.1);
        let center = person.eye_height + person.nose_length + 0.31 - 0.03 * expression.upper_lip;
        let corner = 0.125 * (expression.mouth_corner + 0.6 * person.resting_corner);
        let one_sided = 0.13 * expression.one_corner;
        let open = 0.27 * expression.jaw_drop + 0.1 * expression.teeth;
        let raised = 0.055 * expression.upper_lip;
        let full = (person.lip_fullness * (1.0 - 0.72 * expression.lip_press.min(1.0))).max(0.012);
        // The line between the closed lips at x, and how far the mouth opens there.
        let line = move |x: f32| {
            let t = x / width;
            center - corner * t * t + 0.4 * corner - one_sided * t.max(0.0).powi(2)
        };
        let round = move |x: f32| (1.0 - (x / width).powi(2)).max(0.0);
        let upper = move |x: f32| line(x) - round(x) * (0.3 * open + raised);
        let lower = move |x: f32| line(x) + round(x).sqrt() * 0.72 * open;
        let bounds = [-width, center - 0.4, width, center + 0.5];
        let sides = move |x: f32| (x.abs() - width) * 0.7;
        let lips = move |x: f32, y: f32| {
            let thin = round(x).powf(0.6);
            (upper(x) - full * thin - y).max(y - lower(x) - 1.35 * full * thin).max(sides(x))
        };
        let lip_color = mix(shade(person.skin, 0.78), [172.0, 74.0, 78.0], 0.42);
        self.canvas.paint(On::Surface, bounds, 0.85, lips, |_, _| lip_color);
        let inside = move |x: f32, y: f32| (upper(x) - y).max(y - lower(x)).max(sides(x));
        let bared = expression.teeth.min(1.0);
        let depth = move |x: f32, y: f32| {
            let teeth = 0.05 + 0.07 * bared;
            match y - upper(x) < teeth && bared > 0.12 {
                true => [232.0, 228.0, 218.0],
                false if lower(x) - y < 0.05 && open > 0.2 => [150.0, 72.0, 74.0],
                false => [46.0, 20.0, 22.0],
            }
        };
        if open + raised > 0.02 {
            self.canvas.paint(On::Surface, bounds, 1.0, inside, depth);
        }
        let dark = shade(person.skin, 0.38);
        let seam = [[-width, line(-width)], [0.0, upper(0.0)], [width, line(width)]];
        self.canvas.stroke(seam, [0.012, 0.012], 0.8, dark);
        self.canvas.glow(
            On::Surface,
            [0.0, lower(0.0) + 2.2 * full + 0.02],
            [width * 0.6, 0.05],
            0.35,
            shade(person.skin, 0.7),
        );
    }

    /// What the movements fold, and what the years have.
    fn creases(&mut self) {
        let (person, expression) = (self.person, self.expression);
        let fold = shade(person.skin, 0.5);
        let mouth = person.eye_height + person.nose_length + 0.31;
        let cheeks = 0.28 * person.age + 0.45 * expression.cheek.max(expression.upper_lip);
        for side in LEFT_RIGHT {
            let out = 0.04 * expression.cheek;
            let points =
                [[side * 0.15, mouth - 0.26], [side * (0.29 + out), mouth - 0.12], [side * (0.35 + out), mouth + 0.06]];
            self.canvas.crease(points, cheeks, fold);
            let frown = [
                [side * 0.045, person.eye_height - 0.24],
                [side * 0.04, person.eye_height - 0.16],
                [side * 0.05, person.eye_height - 0.08],
            ];
            self.canvas.crease(frown, 0.75 * expression.brow_knit, fold);
            let wrinkle = person.eye_height + 0.06;
            let nose = [[side * 0.02, wrinkle], [side * 0.07, wrinkle - 0.03], [side * 0.13, wrinkle + 0.03]];
            self.canvas.crease(nose, 0.8 * expression.nose_wrinkle, fold);
            let crow = [
                [side * 0.5, person.eye_height],
                [side * 0.56, person.eye_height - 0.02],
                [side * 0.62, person.eye_height - 0.06],
            ];
            self.canvas.crease(crow, 0.3 * person.age + 0.4 * expression.cheek, fold);
        }
        let raised = 0.25 * person.age + 0.32 * (expression.inner_brow + expression.outer_brow.max(0.0)).max(0.0);
        for height in [-0.47, -0.56] {
            let arch = 0.03 * expression.inner_brow;
            self.canvas.crease([[-0.3, height], [0.0, height - arch], [0.3, height]], raised, fold);
        }
    }

    /// The hair in front: down to the hairline, parted.
    fn hair(&mut self) {
        let person = self.person;
        let (line, part) = (person.hairline, person.parting);
        let reach = 1.0 + person.hair_volume * 0.8;
        let cap = move |x: f32, y: f32| {
            let outline = ellipse_distance(x, y, [0.0, -0.02], [person.head_width + person.hair_volume * 0.35, reach]);
            let temple = 0.75 * (x.abs() / person.head_width).powi(4);
            outline.max(y - line - temple + 0.16 * (part - x).abs().min(0.5))
        };
        let strands = move |x: f32, y: f32| {
            shade(person.hair, 0.96 + 0.07 * ((x - part) * 43.0 + y * 9.0).sin() - 0.12 * (y + 0.8))
        };
        self.canvas.paint(On::Plane, [-1.2, -1.3, 1.2, 0.4], 1.0, cap, strands);
    }

    fn glasses(&mut self) {
        let person = self.person;
        if !person.glasses {
            return;
        }
        let (radius, y) = (0.19, person.eye_height + 0.015);
        for side in LEFT_RIGHT {
            let cx = side * person.eye_distance;
            let rim = move |x: f32, y_: f32| ((x - cx).hypot((y_ - y) * 1.15) - radius).abs() - 0.016;
            self.canvas.paint(On::Surface, [cx - 0.25, y - 0.25, cx + 0.25, y + 0.25], 0.9, rim, |_, _| [34.0; 3]);
            let temple = [[side * (person.eye_distance + radius), y], [side * 0.62, y - 0.01], [side * 0.72, y]];
            self.canvas.stroke(temple, [0.016, 0.016], 0.8, [34.0; 3]);
        }
        let bridge = [[-person.eye_distance + radius, y], [0.0, y - 0.03], [person.eye_distance - radius, y]];
        self.canvas.stroke(bridge, [0.016, 0.016], 0.9, [34.0; 3]);
    }
}

/// Walls are duller than paint.
fn backdrop_color(rng: &mut ChaCha8Rng) -> Color {
    let color: Color = std::array::from_fn(|_| rng.random_range(15.0..235.0));
    let grey = (color[0] + color[1] + color[2]) / 3.0;
    mix(color, [grey; 3], 0.65)
}

/// Signed distance to the outline of the head: an ellipse that narrows to the chin.
fn head_distance(person: &Person, x: f32, y: f32, chin: f32) -> f32 {
    let height = if y > 0.0 { chin } else { 1.0 };
    let width = person.head_width * (1.0 - person.jaw_narrow * (y.max(0.0) / height).powi(2));
    ((x / width).hypot(y / height) - 1.0) * width
}

/// Now and then something is in the way: a hand, a microphone, the edge of a door.
fn occlude(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    if !rng.random_bool(0.09) {
        return;
    }
    let color: Color = std::array::from_fn(|_| rng.random_range(20.0..220.0));
    let (x, y) = (rng.random_range(-0.8..0.8), rng.random_range(-0.5..0.9));
    match rng.random_bool(0.6) {
        true => {
            canvas.ellipse(On::Plane, [x, y], [rng.random_range(0.15..0.35), rng.random_range(0.15..0.4)], 1.0, color)
        }
        false => {
            let edge: f32 = if x < 0.0 { -0.45 } else { 0.45 };
            canvas.paint(On::Plane, [-2.0, -2.0, 2.0, 2.0], 1.0, |x, _| (edge - x) * edge.signum(), |_, _| color);
        }
    }
}

/// Light, contrast, focus, grain, and often no colour.
fn photograph(canvas: &mut Canvas, rng: &mut ChaCha8Rng) {
    let (brightness, contrast) = (12.0 * normal(rng), (1.0 + 0.14 * normal(rng)).clamp(0.6, 1.4));
    let blur = if rng.random_bool(0.3) { rng.random::<f32>() } else { 0.0 };
    let grain = 2.0 + 7.0 * rng.random::<f32>().powi(2);
    let grey = rng.random_bool(0.35);
    if blur > 0.05 {
        canvas.blur(blur);
    }
    for pixel in &mut canvas.pixels {
        let noise = grain * (rng.random::<f32>() + rng.random::<f32>() - 1.0) * 1.7;
        let luma = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
        for value in pixel.iter_mut() {
            let seen = if grey { luma } else { *value };
            *value = (seen - 128.0) * contrast + 128.0 + brightness + noise;
        }
    }
}

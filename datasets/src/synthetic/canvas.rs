//! Pixels, and the face's own coordinates over them: shapes are signed distances, edges are blended over one pixel.

use std::ops::Range;

use image::RgbImage;

/// Red, green and blue from 0 to 255; may leave the range while drawing.
pub(super) type Color = [f32; 3];

/// Where the head is and how it is turned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pose {
    /// Middle of the head, as shares of the side.
    pub x: f32,
    pub y: f32,
    /// Half the head's height, as a share of the side.
    pub scale: f32,
    /// Turns around the three axes, in radians.
    pub roll: f32,
    pub yaw: f32,
    pub pitch: f32,
}

pub(super) struct Canvas {
    side: usize,
    pub pixels: Vec<Color>,
    /// Coordinates on the plane of the head, per pixel: the outline lives here.
    plane: Vec<[f32; 2]>,
    /// Coordinates on the surface of the turned head: the features live here.
    surface: Vec<[f32; 2]>,
    /// One pixel in face units.
    pixel: f32,
    pose: Pose,
}

/// Depth of the head at its nearest point, in face units.
const DEPTH: f32 = 0.62;

/// Which coordinates a shape is drawn in.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum On {
    Plane,
    Surface,
}

impl Canvas {
    /// A canvas of one colour per pixel, `background` getting x and y from 0 to 1.
    pub(super) fn new(side: u32, pose: &Pose, background: impl Fn(f32, f32) -> Color) -> Self {
        let side = side as usize;
        let scale = pose.scale * side as f32;
        let (sin_roll, cos_roll) = pose.roll.sin_cos();
        let (sin_yaw, cos_yaw) = pose.yaw.sin_cos();
        let (sin_pitch, cos_pitch) = pose.pitch.sin_cos();
        let mut canvas = Self {
            side,
            pixels: Vec::with_capacity(side * side),
            plane: Vec::with_capacity(side * side),
            surface: Vec::with_capacity(side * side),
            pixel: 1.0 / scale,
            pose: *pose,
        };
        for row in 0..side {
            for column in 0..side {
                let (x, y) = ((column as f32 + 0.5) / side as f32, (row as f32 + 0.5) / side as f32);
                canvas.pixels.push(background(x, y));
                let (x, y) = ((x - pose.x) / pose.scale, (y - pose.y) / pose.scale);
                let (x, y) = (x * cos_roll + y * sin_roll, y * cos_roll - x * sin_roll);
                canvas.plane.push([x, y]);
                // The head is half an ellipsoid; a pixel shows the point that the turn has brought there.
                let depth = DEPTH * (1.0 - (x / 0.85).powi(2) - y * y).max(0.0).sqrt();
                canvas.surface.push([(x - depth * sin_yaw) / cos_yaw, (y - depth * sin_pitch) / cos_pitch]);
            }
        }
        canvas
    }

    /// Paints where `distance` is negative, inside `bounds` (left, top, right, bottom).
    pub(super) fn paint(
        &mut self,
        on: On,
        bounds: [f32; 4],
        opacity: f32,
        distance: impl Fn(f32, f32) -> f32,
        color: impl Fn(f32, f32) -> Color,
    ) {
        self.paint_soft(on, bounds, opacity, self.pixel, distance, color);
    }

    /// The same with an edge of the given width in face units, for shadows and creases.
    pub(super) fn paint_soft(
        &mut self,
        on: On,
        bounds: [f32; 4],
        opacity: f32,
        edge: f32,
        distance: impl Fn(f32, f32) -> f32,
        color: impl Fn(f32, f32) -> Color,
    ) {
        if opacity <= 0.01 {
            return;
        }
        let edge = edge.max(self.pixel);
        let [left, top, right, bottom] = [bounds[0] - edge, bounds[1] - edge, bounds[2] + edge, bounds[3] + edge];
        let [columns, rows] = self.reach(on, [left, top, right, bottom]);
        let coordinates = if on == On::Plane { &self.plane } else { &self.surface };
        for row in rows {
            let span = row * self.side + columns.start..row * self.side + columns.end;
            for (pixel, &[x, y]) in self.pixels[span.clone()].iter_mut().zip(&coordinates[span]) {
                if x < left || x > right || y < top || y > bottom {
                    continue;
                }
                let cover = (0.5 - distance(x, y) / edge).clamp(0.0, 1.0) * opacity.min(1.0);
                if cover > 0.0 {
                    *pixel = mix(*pixel, color(x, y), cover);
                }
            }
        }
    }

    /// The columns and rows that bounds in face units can touch at all, so that a small shape costs little.
    fn reach(&self, on: On, [left, top, right, bottom]: [f32; 4]) -> [Range<usize>; 2] {
        let pose = &self.pose;
        let turned = |low: f32, high: f32, angle: f32| match on {
            On::Plane => [low, high],
            On::Surface => {
                let shift = DEPTH * angle.sin();
                [low * angle.cos() + shift.min(0.0), high * angle.cos() + shift.max(0.0)]
            }
        };
        let (sin, cos) = pose.roll.sin_cos();
        let mut reach = [[f32::INFINITY, f32::NEG_INFINITY]; 2];
        for x in turned(left, right, pose.yaw) {
            for y in turned(top, bottom, pose.pitch) {
                let corner = [pose.x + pose.scale * (x * cos - y * sin), pose.y + pose.scale * (y * cos + x * sin)];
                for (range, at) in reach.iter_mut().zip(corner) {
                    *range = [range[0].min(at), range[1].max(at)];
                }
            }
        }
        let pixel = |at: f32| (at * self.side as f32).clamp(0.0, self.side as f32);
        reach.map(|[low, high]| pixel(low).floor() as usize..pixel(high).ceil() as usize)
    }

    /// A filled ellipse.
    pub(super) fn ellipse(&mut self, on: On, center: [f32; 2], radii: [f32; 2], opacity: f32, color: Color) {
        let bounds = around(center, radii);
        self.paint(on, bounds, opacity, |x, y| ellipse_distance(x, y, center, radii), |_, _| color);
    }

    /// An ellipse that fades out over its whole radius.
    pub(super) fn glow(&mut self, on: On, center: [f32; 2], radii: [f32; 2], opacity: f32, color: Color) {
        let edge = radii[0].min(radii[1]);
        let distance = |x, y| ellipse_distance(x, y, center, radii) + edge * 0.5;
        self.paint_soft(on, around(center, radii), opacity, edge, distance, |_, _| color);
    }

    /// A line through three points, curved, with its thickness (radius) at start and end.
    pub(super) fn stroke(&mut self, points: [[f32; 2]; 3], radius: [f32; 2], opacity: f32, color: Color) {
        let reach = radius[0].max(radius[1]);
        let [a, b, c] = points;
        let bounds = [
            a[0].min(b[0]).min(c[0]) - reach,
            a[1].min(b[1]).min(c[1]) - reach,
            a[0].max(b[0]).max(c[0]) + reach,
            a[1].max(b[1]).max(c[1]) + reach,
        ];
        let line = Curve::through(points);
        self.paint(On::Surface, bounds, opacity, |x, y| line.distance(x, y, radius), |_, _| color);
    }

    /// A soft dark line: a crease of the skin.
    pub(super) fn crease(&mut self, points: [[f32; 2]; 3], opacity: f32, color: Color) {
        let [a, b, c] = points;
        let bounds = [
            a[0].min(b[0]).min(c[0]) - 0.05,
            a[1].min(b[1]).min(c[1]) - 0.05,
            a[0].max(b[0]).max(c[0]) + 0.05,
            a[1].max(b[1]).max(c[1]) + 0.05,
        ];
        let line = Curve::through(points);
        let distance = |x, y| line.distance(x, y, [0.022, 0.012]);
        self.paint_soft(On::Surface, bounds, opacity, 0.05, distance, |_, _| color);
    }

    /// Averages every pixel with its neighbours, as a lens out of focus does.
    pub(super) fn blur(&mut self, amount: f32) {
        let (side, before) = (self.side, self.pixels.clone());
        for (i, pixel) in self.pixels.iter_mut().enumerate() {
            let (row, column) = (i / side, i % side);
            let rows = row.saturating_sub(1)..=(row + 1).min(side - 1);
            let mut sum = [0.0; 3];
            let mut count = 0.0;
            for near in rows
                .flat_map(|row| (column.saturating_sub(1)..=(column + 1).min(side - 1)).map(move |c| row * side + c))
            {
                count += 1.0;
                for (sum, value) in sum.iter_mut().zip(before[near]) {
                    *sum += value;
                }
            }
            for (value, sum) in pixel.iter_mut().zip(sum) {
                *value += (sum / count - *value) * amount;
            }
        }
    }

    pub(super) fn into_image(self) -> RgbImage {
        let side = self.side as u32;
        let bytes =
            self.pixels.iter().flat_map(|pixel| pixel.map(|value| value.round().clamp(0.0, 255.0) as u8)).collect();
        RgbImage::from_raw(side, side, bytes).unwrap_or_else(|| unreachable!("three bytes for each pixel"))
    }
}

/// Signed distance to an ellipse, exact enough near its edge.
pub(super) fn ellipse_distance(x: f32, y: f32, center: [f32; 2], radii: [f32; 2]) -> f32 {
    let (x, y) = ((x - center[0]) / radii[0], (y - center[1]) / radii[1]);
    (x.hypot(y) - 1.0) * radii[0].min(radii[1])
}

pub(super) fn around(center: [f32; 2], radii: [f32; 2]) -> [f32; 4] {
    [center[0] - radii[0], center[1] - radii[1], center[0] + radii[0], center[1] + radii[1]]
}

/// `color` darkened (below 1) or lightened.
pub(super) fn shade(color: Color, factor: f32) -> Color {
    color.map(|value| value * factor)
}

pub(super) fn mix(a: Color, b: Color, share: f32) -> Color {
    std::array::from_fn(|i| a[i] + (b[i] - a[i]) * share)
}

const PIECES: usize = 6;

/// A quadratic curve as a few straight pieces.
struct Curve([[f32; 2]; PIECES + 1]);

impl Curve {
    fn through([a, b, c]: [[f32; 2]; 3]) -> Self {
        // The control point that makes the curve pass through b halfway.
        let control = [2.0 * b[0] - (a[0] + c[0]) / 2.0, 2.0 * b[1] - (a[1] + c[1]) / 2.0];
        Self(std::array::from_fn(|i| {
            let t = i as f32 / PIECES as f32;
            let s = 1.0 - t;
            std::array::from_fn(|axis| s * s * a[axis] + 2.0 * s * t * control[axis] + t * t * c[axis])
        }))
    }

    /// Distance to the curve, less the radius that tapers from start to end.
    fn distance(&self, x: f32, y: f32, radius: [f32; 2]) -> f32 {
        let mut nearest = f32::INFINITY;
        for (i, pair) in self.0.windows(2).enumerate() {
            let ([ax, ay], [bx, by]) = (pair[0], pair[1]);
            let (dx, dy) = (bx - ax, by - ay);
            let along = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy).max(1e-9)).clamp(0.0, 1.0);
            let t = (i as f32 + along) / PIECES as f32;
            let distance = (x - ax - along * dx).hypot(y - ay - along * dy) - (radius[0] + (radius[1] - radius[0]) * t);
            nearest = nearest.min(distance);
        }
        nearest
    }
}

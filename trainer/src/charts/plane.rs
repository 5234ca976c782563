//! Axes from 0: where values lie on the sheet, and lines at round numbers.

use super::drawing::{Anchor, Drawing};

/// Ticks on an axis, at most.
const TICKS: f64 = 6.0;

/// A rectangle of the sheet with values along its lower and left edge.
pub(super) struct Plane {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    across: Axis,
    up: Axis,
}

/// An axis from 0 with its last tick and the step between ticks.
struct Axis {
    end: f64,
    step: f64,
}

impl Axis {
    fn up_to(most: f64) -> Self {
        let most = if most > 0.0 && most.is_finite() { most } else { 1.0 };
        let rough = most / TICKS;
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        Self { end: (most / step).ceil() * step, step }
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = (self.end / self.step).round() as usize;
        (0..=count).map(|tick| tick as f64 * self.step)
    }

    fn written(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 6.0) as usize;
        format!("{tick:.digits$}")
    }
}

impl Plane {
    /// A plane of [left, top, width, height] for values up to `across` and `up`.
    pub fn new([left, top, width, height]: [f64; 4], across: f64, up: f64) -> Self {
        Self { left, top, width, height, across: Axis::up_to(across), up: Axis::up_to(up) }
    }

    /// Pixels of a point.
    pub fn place(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.width * x / self.across.end,
            self.top + self.height * (1.0 - (y / self.up.end).clamp(0.0, 1.0)),
        )
    }

    /// Pixels of a value along the left edge.
    pub fn height_of(&self, y: f64) -> f64 {
        self.place(0.0, y).1
    }

    /// Grid, frame, numbers and names of both axes.
    pub fn axes(&self, drawing: &mut Drawing, (x, y): (&str, &str)) {
        self.up_axis(drawing, y);
        let bottom = self.top + self.height;
        for tick in self.across.ticks() {
            let (at, _) = self.place(tick, 0.0);
            drawing.line("grid", (at, self.top), (at, bottom));
            drawing.text("small muted", (at, bottom + 16.0), Anchor::Middle, &self.across.written(tick));
        }
        drawing.frame([self.left, self.top, self.width, self.height]);
        drawing.text("muted", (self.left + self.width / 2.0, bottom + 38.0), Anchor::Middle, x);
    }

    /// Grid, numbers and name of the left axis alone.
    pub fn up_axis(&self, drawing: &mut Drawing, name: &str) {
        for tick in self.up.ticks() {
            let at = self.height_of(tick);
            drawing.line("grid", (self.left, at), (self.left + self.width, at));
            drawing.text("small muted", (self.left - 8.0, at + 4.0), Anchor::End, &self.up.written(tick));
        }
        drawing.turned_text("muted", (18.0, self.top + self.height / 2.0), Anchor::Middle, -90.0, name);
    }
}

//! Bars with intervals: figures beside each other, and how far to trust them.

use super::drawing::{Anchor, Drawing};
use super::plane::Plane;

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// What stands below it.
    pub name: String,
    /// Its height; no bar is drawn where there is none.
    pub value: Option<f64>,
    /// Half the width of its interval.
    pub half_width: Option<f64>,
}

/// A level that every bar is compared with.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// What it is.
    pub name: String,
    /// Where.
    pub value: f64,
}

/// Pixels of a bar and the gap to the next.
const STEP: f64 = 64.0;
const LEFT: f64 = 62.0;
const TOP: f64 = 70.0;
const BARS: f64 = 300.0;
/// Room below for names, which are written at a slant.
const NAMES: f64 = 120.0;

/// Bars from 0 with their intervals, and a dashed line at the level.
pub fn bars(title: &str, caption: &str, y: &str, level: &Level, bars: &[Bar]) -> String {
    let width = (LEFT + STEP * bars.len() as f64 + 40.0).max(420.0);
    let mut drawing = Drawing::new(width, TOP + BARS + NAMES, "Bars", title, caption);
    let ends = bars.iter().filter_map(|bar| Some(bar.value? + bar.half_width.unwrap_or(0.0)));
    let most = ends.fold(level.value, f64::max);
    let plane = Plane::new([LEFT, TOP, width - LEFT - 30.0, BARS], 1.0, most);
    plane.up_axis(&mut drawing, y);
    let bottom = TOP + BARS;
    for (place, bar) in bars.iter().enumerate() {
        let middle = LEFT + STEP * (place as f64 + 0.5);
        if let Some(value) = bar.value {
            let top = plane.height_of(value);
            let tooltip = format!("{}: {value:.3}", bar.name);
            drawing.rectangle("bar", [middle - 0.32 * STEP, top, 0.64 * STEP, bottom - top], 1.0, &tooltip);
            drawing.text("small strong", (middle, bottom - 6.0), Anchor::Middle, &format!("{value:.3}"));
            if let Some(half) = bar.half_width {
                let ends = (plane.height_of(value - half), plane.height_of(value + half));
                drawing.line("interval", (middle, ends.0), (middle, ends.1));
                [ends.0, ends.1]
                    .into_iter()
                    .for_each(|at| drawing.line("interval", (middle - 6.0, at), (middle + 6.0, at)));
            }
        }
        drawing.turned_text("small", (middle + 4.0, bottom + 14.0), Anchor::End, -35.0, &bar.name);
    }
    let at = plane.height_of(level.value);
    drawing.line("ideal", (LEFT, at), (width - 30.0, at));
    drawing.text("small muted", (width - 32.0, at - 5.0), Anchor::End, &level.name);
    drawing.finish()
}

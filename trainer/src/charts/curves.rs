//! Curves over a shared axis: how figures move with epochs, rounds or labels.

use super::drawing::{Anchor, Drawing};
use super::plane::Plane;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What the legend calls it.
    pub name: String,
    /// Points from left to right.
    pub points: Vec<(f64, f64)>,
    /// Number of its colour; curves that belong together share one.
    pub color: usize,
    /// Whether it is a bound or an aim rather than a figure.
    pub dashed: bool,
}

const WIDTH: f64 = 760.0;
/// More where the legend is longer.
const HEIGHT: f64 = 460.0;
/// First line of the legend, and from one to the next.
const LEGEND: f64 = 82.0;
const LINE: f64 = 18.0;

/// Curves with axes that begin at 0 and end above the largest value, and a legend beside them.
pub fn curves(title: &str, caption: &str, (x, y): (&str, &str), curves: &[Curve]) -> String {
    let height = HEIGHT.max(LEGEND + LINE * curves.len() as f64);
    let mut drawing = Drawing::new(WIDTH, height, "Curves", title, caption);
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
    let across = most(&mut points().map(|point| point.0));
    let up = most(&mut points().map(|point| point.1));
    let plane = Plane::new([62.0, 70.0, 500.0, 320.0], across, up);
    plane.axes(&mut drawing, (x, y));
    for (place, curve) in curves.iter().enumerate() {
        let class = format!("line c{}{}", curve.color % 10, if curve.dashed { " dashed" } else { "" });
        drawing.path(&class, curve.points.iter().map(|&(x, y)| plane.place(x, y)));
        let row = LEGEND + LINE * place as f64;
        drawing.line(&class, (580.0, row - 4.0), (602.0, row - 4.0));
        drawing.text("small", (610.0, row), Anchor::Start, &curve.name);
    }
    drawing.finish()
}

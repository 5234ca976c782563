//! The confusion matrix: which classes are taken for which.

use super::drawing::{Anchor, Drawing, shortened};
use crate::metrics::Metrics;

/// Side of a cell, height of the title, room below, in pixels.
const CELL: f64 = 58.0;
const HEAD: f64 = 62.0;
const FOOT: f64 = 30.0;
/// Narrower than this the caption would not fit.
const NARROWEST: f64 = 420.0;
/// Width of a character of a label, about.
const CHARACTER: f64 = 6.6;
/// Longer class names are cut; the tooltips have them whole.
const LONGEST: usize = 22;
/// From this share on the cell is dark enough for white text.
const DARK: f64 = 0.55;

/// Faces by true class (row) and predicted class (column), shaded by their share of the row, with recall at the right and
/// precision below. `classes` are the names, in the order of the metrics.
pub fn confusion(title: &str, metrics: &Metrics, classes: &[String]) -> String {
    let matrix = Matrix::new(metrics, classes);
    let (width, height) = (matrix.left + matrix.side + 84.0, matrix.top + matrix.side + 34.0 + FOOT);
    let caption = format!(
        "{} faces · accuracy {:.1} % · macro-F1 {:.1} % · ECE {:.4}",
        metrics.count,
        100.0 * metrics.accuracy,
        100.0 * metrics.macro_f1,
        metrics.ece
    );
    let mut drawing = Drawing::new(width.max(NARROWEST), height, "Confusion matrix", title, &caption);
    matrix.draw_labels(&mut drawing);
    for truth in 0..classes.len() {
        (0..classes.len()).for_each(|predicted| matrix.draw_cell(&mut drawing, truth, predicted));
    }
    drawing.frame([matrix.left, matrix.top, matrix.side, matrix.side]);
    matrix.draw_margins(&mut drawing);
    drawing.finish()
}

struct Matrix<'a> {
    metrics: &'a Metrics,
    classes: &'a [String],
    left: f64,
    top: f64,
    side: f64,
}

impl<'a> Matrix<'a> {
    fn new(metrics: &'a Metrics, classes: &'a [String]) -> Self {
        let longest = classes.iter().map(|class| class.chars().count().min(LONGEST)).max().unwrap_or(0) as f64;
        // Names above the columns are turned by 40 degrees.
        let top = HEAD + 32.0 + longest * CHARACTER * 0.65 + 10.0;
        Self { metrics, classes, left: 44.0 + longest * CHARACTER + 12.0, top, side: CELL * classes.len() as f64 }
    }

    fn corner(&self, truth: usize, predicted: usize) -> (f64, f64) {
        (self.left + CELL * predicted as f64, self.top + CELL * truth as f64)
    }

    fn draw_labels(&self, drawing: &mut Drawing) {
        for (number, class) in self.classes.iter().enumerate() {
            let (x, y) = self.corner(number, number);
            let name = shortened(class, LONGEST);
            drawing.text("", (self.left - 10.0, y + CELL / 2.0 + 4.0), Anchor::End, &name);
            drawing.turned_text("", (x + CELL / 2.0 - 4.0, self.top - 8.0), Anchor::Start, -40.0, &name);
        }
        let middle = (self.left + self.side / 2.0, self.top + self.side / 2.0);
        drawing.text("muted", (middle.0, HEAD + 16.0), Anchor::Middle, "predicted class");
        drawing.turned_text("muted", (22.0, middle.1), Anchor::Middle, -90.0, "true class");
    }

    fn draw_cell(&self, drawing: &mut Drawing, truth: usize, predicted: usize) {
        let count = self.metrics.confusion[truth][predicted];
        let labels = self.metrics.per_class[truth].labels;
        let share = count as f64 / labels.max(1) as f64;
        let (x, y) = self.corner(truth, predicted);
        let tooltip = format!(
            "{} taken for {}: {count} of {labels} faces ({:.1} %)",
            self.classes[truth],
            self.classes[predicted],
            100.0 * share
        );
        drawing.rectangle("cell", [x + 1.0, y + 1.0, CELL - 2.0, CELL - 2.0], share, &tooltip);
        let tone = match (share > DARK, count) {
            (true, _) => "on",
            (false, 0) => "muted",
            (false, _) => "",
        };
        let weight = if truth == predicted { "strong " } else { "" };
        let middle = x + CELL / 2.0;
        let count_at = if count == 0 { y + CELL / 2.0 + 4.0 } else { y + CELL / 2.0 };
        drawing.text(&format!("{weight}{tone}"), (middle, count_at), Anchor::Middle, &count.to_string());
        if count > 0 {
            let percent = format!("{:.0} %", 100.0 * share);
            drawing.text(&format!("small {tone}"), (middle, y + CELL / 2.0 + 15.0), Anchor::Middle, &percent);
        }
    }

    /// Recall beside every row, precision under every column; a dash where there is none.
    fn draw_margins(&self, drawing: &mut Drawing) {
        let percent = |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.1} %", 100.0 * share));
        let (right, bottom) = (self.left + self.side, self.top + self.side);
        drawing.text("small muted", (right + 12.0, self.top - 8.0), Anchor::Start, "recall");
        drawing.text("small muted", (self.left - 10.0, bottom + 22.0), Anchor::End, "precision");
        for (number, class) in self.metrics.per_class.iter().enumerate() {
            let (x, y) = self.corner(number, number);
            drawing.text("", (right + 12.0, y + CELL / 2.0), Anchor::Start, &percent(class.recall));
            let faces = format!("of {}", class.labels);
            drawing.text("small muted", (right + 12.0, y + CELL / 2.0 + 15.0), Anchor::Start, &faces);
            drawing.text("", (x + CELL / 2.0, bottom + 22.0), Anchor::Middle, &percent(class.precision));
            let faces = format!("of {}", class.predictions);
            drawing.text("small muted", (x + CELL / 2.0, bottom + 37.0), Anchor::Middle, &faces);
        }
    }
}

//! The reliability diagram (DeGroot and Fienberg 1983): what confidences claim against what they keep.

use super::drawing::{Anchor, Drawing};
use crate::metrics::Metrics;
use crate::metrics::ece::CalibrationBin;

/// Left edge, top edge and side of the square that holds the diagram, in pixels.
const LEFT: f64 = 62.0;
const TOP: f64 = 78.0;
const SIDE: f64 = 380.0;
/// Top and height of the strip that shows how many faces each bin has.
const STRIP_TOP: f64 = TOP + SIDE + 14.0;
const STRIP: f64 = 64.0;
const WIDTH: f64 = LEFT + SIDE + 24.0;
const HEIGHT: f64 = STRIP_TOP + STRIP + 84.0;

/// Accuracy over confidence in the 15 bins of equal width, with the gap to the diagonal, the number of faces per bin,
/// and both errors in the caption; where there is a temperature, the bins of the metrics under it as a curve.
pub fn reliability(title: &str, metrics: &Metrics, calibrated: Option<(f64, &Metrics)>) -> String {
    let caption = format!(
        "{} faces · accuracy {:.1} % · ECE {:.4} (bins of equal mass {:.4})",
        metrics.count,
        100.0 * metrics.accuracy,
        metrics.ece,
        metrics.ece_equal_mass
    );
    let mut drawing = Drawing::new(WIDTH, HEIGHT, "Reliability diagram", title, &caption);
    axes(&mut drawing);
    metrics.ece_bins.iter().for_each(|bin| draw_bin(&mut drawing, bin));
    drawing.line("ideal", (LEFT, TOP + SIDE), (LEFT + SIDE, TOP));
    if let Some((_, calibrated)) = calibrated {
        let point = |bin: &CalibrationBin| (place(bin.confidence, bin.accuracy), in_words("calibrated", bin));
        drawing.curve(&calibrated.ece_bins.iter().map(point).collect::<Vec<_>>());
    }
    strip(&mut drawing, &metrics.ece_bins);
    legend(&mut drawing, calibrated);
    drawing.finish()
}

/// Pixels of a point in the unit square.
fn place(confidence: f64, accuracy: f64) -> (f64, f64) {
    (LEFT + SIDE * confidence, TOP + SIDE * (1.0 - accuracy))
}

fn axes(drawing: &mut Drawing) {
    for tick in 0..=5 {
        let share = f64::from(tick) / 5.0;
        let (x, y) = place(share, share);
        drawing.line("grid", (LEFT, y), (LEFT + SIDE, y));
        drawing.line("grid", (x, TOP), (x, TOP + SIDE));
        drawing.text("small muted", (LEFT - 8.0, y + 4.0), Anchor::End, &format!("{share:.1}"));
        drawing.text("small muted", (x, STRIP_TOP + STRIP + 16.0), Anchor::Middle, &format!("{share:.1}"));
    }
    drawing.frame([LEFT, TOP, SIDE, SIDE]);
    drawing.turned_text("muted", (18.0, TOP + SIDE / 2.0), Anchor::Middle, -90.0, "accuracy: share of right answers");
    drawing.turned_text("muted", (18.0, STRIP_TOP + STRIP / 2.0), Anchor::Middle, -90.0, "faces");
    let below = (LEFT + SIDE / 2.0, STRIP_TOP + STRIP + 36.0);
    drawing.text("muted", below, Anchor::Middle, "confidence: largest probability");
}

/// A bar as high as the accuracy, and the gap between that and the confidence.
fn draw_bin(drawing: &mut Drawing, bin: &CalibrationBin) {
    let (left, right) = (place(bin.range.0, 0.0).0, place(bin.range.1, 0.0).0);
    let (accuracy, confidence) = (place(0.0, bin.accuracy).1, place(0.0, bin.confidence).1);
    let says = in_words("raw", bin);
    let (x, width) = (left + 0.8, right - left - 1.6);
    drawing.rectangle("bar", [x, accuracy, width, TOP + SIDE - accuracy], 1.0, &says);
    let top = accuracy.min(confidence);
    drawing.rectangle("gap", [x, top, width, accuracy.max(confidence) - top], 0.28, &says);
}

/// How many faces each bin has, relative to the fullest.
fn strip(drawing: &mut Drawing, bins: &[CalibrationBin]) {
    let fullest = bins.iter().map(|bin| bin.count).max().unwrap_or(1);
    drawing.frame([LEFT, STRIP_TOP, SIDE, STRIP]);
    drawing.text("small muted", (LEFT - 8.0, STRIP_TOP + 9.0), Anchor::End, &fullest.to_string());
    drawing.text("small muted", (LEFT - 8.0, STRIP_TOP + STRIP), Anchor::End, "0");
    for bin in bins {
        let (left, right) = (place(bin.range.0, 0.0).0, place(bin.range.1, 0.0).0);
        let height = STRIP * bin.count as f64 / fullest as f64;
        let area = [left + 0.8, STRIP_TOP + STRIP - height, right - left - 1.6, height];
        drawing.rectangle("count", area, 1.0, &in_words("raw", bin));
    }
}

fn legend(drawing: &mut Drawing, calibrated: Option<(f64, &Metrics)>) {
    let y = HEIGHT - 18.0;
    let mut x = LEFT;
    for (class, opacity, text, width) in [("bar", 1.0, "accuracy", 78.0), ("gap", 0.28, "gap to the confidence", 148.0)]
    {
        drawing.rectangle(class, [x, y - 9.0, 12.0, 10.0], opacity, text);
        drawing.text("small", (x + 18.0, y), Anchor::Start, text);
        x += width;
    }
    if let Some((temperature, metrics)) = calibrated {
        drawing.line("curve", (x, y - 4.0), (x + 14.0, y - 4.0));
        let text = format!("T = {temperature:.2}: ECE {:.4}", metrics.ece);
        drawing.text("small", (x + 20.0, y), Anchor::Start, &text);
    }
}

fn in_words(which: &str, bin: &CalibrationBin) -> String {
    format!(
        "{which}, {:.2} to {:.2}: {} faces, accuracy {:.3}, confidence {:.3}",
        bin.range.0, bin.range.1, bin.count, bin.accuracy, bin.confidence
    )
}

//! Pictures of results: one file a column and kind.

use marginalia_store::tables::experiments::Experiment;
use marginalia_trainer::charts::{Bar, Curve, Level, bars, curves};
use serde_json::Value;

use super::results::{Column, Results};

/// File names and SVG texts: per column the macro-F1 of every arm as bars with intervals and over the epochs.
pub fn of_results(results: &Results) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for column in &results.columns {
        let name = file_name(column);
        files.push((format!("macro-f1-{name}.svg"), figures(results, column)));
        files.push((format!("curves-{name}.svg"), training(results, column)));
    }
    files
}

/// The margins of one run over its epochs beside the confidence they follow, class by class.
pub fn of_margins(row: &Experiment) -> Option<(String, String)> {
    let points: Vec<Value> = serde_json::from_str(&row.curve).ok()?;
    let classes: Vec<&String> = points.first()?["margin"].as_object()?.keys().collect();
    let lines = classes.iter().enumerate().flat_map(|(color, class)| {
        [("confidence", false), ("margin", true)].map(|(what, dashed)| Curve {
            name: if dashed { format!("{class}: margin") } else { (*class).clone() },
            points: points
                .iter()
                .filter_map(|point| Some((point["epoch"].as_f64()?, point[what][*class].as_f64()?)))
                .collect(),
            color,
            dashed,
        })
    });
    let title = format!("Confidence and margin of each class: {} on {}", row.arm, row.dataset);
    let caption =
        format!("{}, seed {}; mean confidence of right labelled faces, and the margin it gives", row.labels, row.seed);
    let name = format!("margins-{}-{}.svg", row.arm, plain(&format!("{}-{}", row.dataset, row.labels)));
    Some((name, curves(&title, &caption, ("epoch", "confidence"), &lines.collect::<Vec<_>>())))
}

fn figures(results: &Results, column: &Column) -> String {
    let title = format!("Macro-F1 on {}: {}", column.target, column.labels);
    let caption = format!("trained on {}; mean over seeds, 95 % interval", column.dataset);
    let bar = |(arm, figure): (&String, &Option<super::results::Figure>)| Bar {
        name: arm.clone(),
        value: figure.as_ref().map(|figure| figure.macro_f1.mean),
        half_width: figure.as_ref().and_then(|figure| figure.macro_f1.half_width),
    };
    let level = Level { name: format!("always {}", column.baseline_class), value: column.baseline_macro_f1 };
    let all: Vec<Bar> = results.arms.iter().zip(&column.figures).map(bar).collect();
    bars(&title, &caption, "macro-F1", &level, &all)
}

/// Every arm's macro-F1 over the epochs, on the test split of its own data set (the report's Figure 3).
fn training(results: &Results, column: &Column) -> String {
    let (what, x, caption) = match results.learning.is_empty() {
        true => ("Training", "epoch", "macro-F1 of the EMA model on the set's test faces, mean over seeds"),
        false => {
            ("Labelling", "labels", "macro-F1 of every round's EMA model on the set's test faces, mean over seeds")
        }
    };
    let title = format!("{what} on {}: {}", column.dataset, column.labels);
    let curve = |(color, (arm, figure)): (usize, (&String, &Option<super::results::Figure>))| Curve {
        name: arm.clone(),
        points: figure.iter().flat_map(|figure| figure.curve.iter().copied()).collect(),
        color,
        dashed: color >= 10,
    };
    let all: Vec<Curve> = results.arms.iter().zip(&column.figures).enumerate().map(curve).collect();
    curves(&title, caption, (x, "macro-F1"), &all)
}

fn file_name(column: &Column) -> String {
    let sets = if column.dataset == column.target {
        column.dataset.clone()
    } else {
        format!("{}-to-{}", column.dataset, column.target)
    };
    plain(&format!("{sets}-{}", column.labels))
}

/// Letters, digits and hyphens alone.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect()
}

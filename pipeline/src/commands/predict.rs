//! `predict`: what the current teacher sees in images, with one plain view each.

use std::path::PathBuf;

use marginalia_datasets::{Limits, admit, read_file};
use marginalia_trainer::Scorer;
use serde_json::{Value, json};

use super::evaluate::Asked;
use crate::console::Console;
use crate::error::{Error, Result};

/// Images predicted together.
const BATCH: usize = 256;

/// Arguments of `predict`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Image files
    #[arg(required = true)]
    pub images: Vec<PathBuf>,
    /// Checkpoint folder, or its teacher.safetensors [default: the corpus's current round]
    #[arg(long, value_name = "F")]
    pub checkpoint: Option<PathBuf>,
}

/// Runs `predict`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let asked = Asked::find(args.checkpoint.as_deref(), console).await?;
    let rows = tokio::task::spawn_blocking(move || {
        predict(&args.images, &Scorer::load_with_threads(&asked.folder, asked.threads)?, asked.temperature)
    })
    .await
    .map_err(Error::task)??;
    let refused = rows.iter().filter(|row| row.get("error").is_some()).count();
    console.print(&rows, |rows| rows.iter().map(people).collect::<Vec<_>>().join("\n"))?;
    match refused {
        0 => Ok(()),
        refused => Err(Error::ImagesRefused { refused, of: rows.len() }),
    }
}

fn predict(images: &[PathBuf], scorer: &Scorer, temperature: Option<f64>) -> Result<Vec<Value>> {
    let limits = Limits::default();
    let mut rows = Vec::with_capacity(images.len());
    for paths in images.chunks(BATCH) {
        let read: Vec<_> = paths
            .iter()
            .map(|path| {
                // Through the door of the corpus, for its reasons: the scorer only knows that it failed.
                admit(read_file(path, &limits)?.bytes, &limits).map(|face| face.image)
            })
            .collect();
        let good: Vec<&Vec<u8>> = read.iter().filter_map(|bytes| bytes.as_ref().ok()).collect();
        let mut answers = scorer.predict_with_logits(&good)?.into_iter();
        for (path, bytes) in paths.iter().zip(&read) {
            let error = match bytes {
                Err(reason) => reason.to_string(),
                Ok(_) => match answers.next().flatten() {
                    Some((score, logits)) => {
                        let probabilities: serde_json::Map<String, Value> = scorer
                            .classes()
                            .iter()
                            .cloned()
                            .zip(score.probabilities.iter().map(|p| json!(p)))
                            .collect();
                        rows.push(json!({
                            "image": path,
                            "expression": scorer.classes()[score.class],
                            "confidence": score.confidence,
                            "calibrated_confidence": temperature.map(|t| score.calibrated_confidence(t)),
                            "entropy": score.entropy,
                            "top2_gap": score.top2_gap,
                            "probabilities": probabilities,
                            "logits": logits,
                        }));
                        continue;
                    }
                    None => "the image does not decode".to_owned(),
                },
            };
            rows.push(json!({ "image": path, "error": error }));
        }
    }
    Ok(rows)
}

fn people(row: &Value) -> String {
    let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let number = |key: &str| row.get(key).and_then(Value::as_f64);
    match number("confidence") {
        Some(confidence) => {
            let calibrated = number("calibrated_confidence").map(|confidence| format!(", calibrated {confidence:.3}"));
            let calibrated = calibrated.unwrap_or_default();
            format!("{}: {} ({confidence:.3}{calibrated})", text("image"), text("expression"))
        }
        None => format!("{}: {}", text("image"), text("error")),
    }
}

//! `explain`: a face's whole story, from its file to its place in the corpus or the queue.

use marginalia_labeling_ui::Story;

use crate::console::Console;
use crate::error::Result;

/// Arguments of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The face, or the beginning of its id
    pub face_id: String,
}

/// Runs `explain`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let session = opened.session().await?;
    let face_id = session.snapshot().face_id(&args.face_id).await?;
    let story = Story::tell(&session, &face_id, None).await?;
    console.print(&story, people)
}

fn people(story: &Story) -> String {
    let mut lines = vec![
        format!("face {}", story.face_id),
        format!(
            "  {} {}×{}, stream {}, came {}{}",
            story.format,
            story.width,
            story.height,
            story.stream,
            story.ingested_at,
            story.subject.as_ref().map_or(String::new(), |subject| format!(", subject {subject}")),
        ),
    ];
    lines.extend(story.sightings.iter().map(|seen| {
        let split = seen.split.as_deref().unwrap_or("no split");
        let class = seen.given_class.as_ref().map_or(String::new(), |class| format!(", given {class}"));
        format!("  seen as {} ({}, {split}{class})", seen.source, seen.dataset)
    }));
    lines.extend(story.predictions.iter().map(|row| {
        let sign = if row.subset == "I" { "≥" } else { "<" };
        format!(
            "  round {}: {} with confidence {:.3} {sign} margin {:.3}: subset {}",
            row.round, row.expression, row.confidence, row.margin, row.subset
        )
    }));
    lines.extend(story.labels.iter().map(|label| {
        let end = if label.taken_back { ", taken back" } else { "" };
        format!("  {} says {} ({}, {}{end}) {}", label.annotator, label.says, label.origin, label.lane, label.label_id)
    }));
    lines.push(format!("  {}", story.verdict));
    lines.join("\n")
}

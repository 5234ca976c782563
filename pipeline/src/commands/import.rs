//! `import`: a data set on disk becomes faces, sightings and labels.

use marginalia_datasets::{HoldOut, LabelBudget, Split};

use crate::console::Console;
use crate::data_set::DataSetArgs;
use crate::error::Result;
use crate::import::{ImportRequest, ImportSummary, import};
use crate::tables::table;

/// Arguments of `import`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to import.
    #[command(flatten)]
    pub data_set: DataSetArgs,
    /// Put every face into this split (train, validation, test)
    #[arg(long)]
    pub split: Option<Split>,
    /// How many labels may be known: N (stratified), per-class:N, or ada-cm:N [default: all]
    #[arg(long, value_name = "BUDGET")]
    pub labels: Option<LabelBudget>,
    /// Move a share of the training faces into an evaluation split, as in validation:10%
    #[arg(long, value_name = "SPLIT:P%")]
    pub hold_out: Option<HoldOut>,
    /// Hold all faces of a person out, or none
    #[arg(long, value_name = "WHAT", requires = "hold_out", value_parser = ["subject"])]
    pub split_by: Option<String>,
    /// Take no label at all
    #[arg(long, conflicts_with_all = ["labels", "hold_out", "keep_truth"])]
    pub unlabelled: bool,
    /// Keep the labels that are held back, for simulation only
    #[arg(long)]
    pub keep_truth: bool,
    /// Seed of the draws
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

/// Runs `import`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let data_set = args.data_set.data_set()?;
    let opened = console.open().await?;
    let request = ImportRequest {
        data_set,
        split: args.split,
        budget: args.labels.unwrap_or(LabelBudget::All),
        hold_out: args.hold_out,
        by_subject: args.split_by.is_some(),
        unlabelled: args.unlabelled,
        keep_truth: args.keep_truth,
        seed: args.seed,
        limits: opened.config.ingest.limits(),
    };
    let (reporter, handle) = console.report();
    let announced = opened.corpus.announce("import");
    let summary = import(&opened.corpus, &opened.sql, request, &reporter).await;
    announced.leave().await;
    handle.finish();
    console.print(&summary?, people)
}

fn people(summary: &ImportSummary) -> String {
    let rows = summary.classes.iter().map(|class| {
        let numbers = [class.read, class.distinct, class.labelled, class.evaluation];
        std::iter::once(class.expression.clone()).chain(numbers.iter().map(u64::to_string)).collect()
    });
    let table = table(&["class", "read", "distinct", "labelled", "held for evaluation"], &[1, 2, 3, 4], rows);
    let mut lines = vec![
        table.to_string(),
        format!(
            "{}: {} read, {} distinct, {} repeats, {} new to the corpus, {} rejected, {} skipped",
            summary.dataset,
            summary.read,
            summary.distinct,
            summary.repeats,
            summary.new_faces,
            summary.rejected,
            summary.skipped
        ),
        format!(
            "{} label conflicts, {} faces also in other sources, {} faces in an evaluation split and elsewhere (they never train)",
            summary.label_conflicts, summary.in_other_sources, summary.leaked
        ),
        format!("{} labels written, {} faces held out", summary.labels, summary.held_out),
    ];
    if summary.labels_lost_to_evaluation > 0 {
        lines.push(format!(
            "{} labelled faces left the training set: an evaluation split holds them too",
            summary.labels_lost_to_evaluation
        ));
    }
    lines.extend(summary.warnings.iter().map(|warning| format!("warning: {warning}")));
    lines.join("\n")
}

//! `rounds`: the list of rounds, or one with its epochs and margins, or one trained again.

use marginalia_store::tables::epochs::Epoch;
use marginalia_store::tables::margins::Margin;
use marginalia_store::tables::rounds::Round;
use serde_json::json;

use super::train;
use crate::console::{Console, Opened};
use crate::error::{Error, Result};
use crate::round::RoundContext;
use crate::round::replay::replay;
use crate::shutdown;
use crate::tables::{number, percent, table};

/// Arguments of `rounds`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Number of the round to show
    pub round: Option<u32>,
    /// Train the round again from what it read, and say whether the same came of it
    #[arg(long, requires = "round")]
    pub replay: bool,
}

/// Runs `rounds`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let snapshot = opened.corpus.snapshot().await?;
    let Some(wanted) = args.round else {
        let list: Vec<_> = snapshot.rounds().iter().map(train::summary).collect();
        return console.print(&list, |_| people(snapshot.rounds()));
    };
    if args.replay {
        return train_again(&opened, wanted, console).await;
    }
    let round = snapshot.round(wanted)?;
    let filter = format!("round = {wanted}");
    let mut epochs = snapshot.rows::<Epoch>(Some(&filter)).await?;
    epochs.sort_by_key(|epoch| epoch.epoch);
    let mut margins = snapshot.rows::<Margin>(Some(&filter)).await?;
    margins.retain(|margin| Some(margin.epoch) == epochs.last().map(|last| last.epoch));
    let position = |class: &str| snapshot.classes().iter().position(|name| name == class);
    margins.sort_by_key(|margin| position(&margin.expression));
    let value = json!({
        "round": train::summary(round),
        "epochs": epochs.iter().map(epoch_json).collect::<Vec<_>>(),
        "margins": margins.iter().map(margin_json).collect::<Vec<_>>(),
    });
    console.print(&value, |_| one(round, &epochs, &margins))
}

async fn train_again(opened: &Opened, round: u32, console: &Console) -> Result<()> {
    let (reporter, handle) = console.report();
    let context = RoundContext {
        corpus: opened.corpus.clone(),
        sql: opened.sql.clone(),
        config: opened.config.clone(),
        reporter: reporter.clone(),
        token: shutdown::on_signals()?,
    };
    let folder = opened.corpus.path().join("tmp").join(format!("replay-{}", std::process::id()));
    let outcome = replay(&context, round, folder.clone()).await;
    handle.finish();
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(Error::io(&folder))?;
    }
    let replayed = outcome?;
    console.print(&replayed, |replayed| match (replayed.same, replayed.first_other_epoch) {
        (true, _) => format!("round {round}: the same checkpoint, byte for byte ({})", replayed.checkpoint_hash),
        (false, Some(epoch)) => format!("round {round}: another checkpoint; the losses differ from epoch {epoch} on"),
        (false, None) => format!("round {round}: another checkpoint, though every epoch's loss is the same"),
    })?;
    if replayed.same { Ok(()) } else { Err(Error::ReplayDiffers { round }) }
}

fn people(rounds: &[Round]) -> String {
    if rounds.is_empty() {
        return "no round has finished yet; `marginalia train` runs one".to_owned();
    }
    let share = |value: Option<f32>| percent(value.map(f64::from));
    let rows = rounds.iter().map(|round| {
        vec![
            round.round.to_string(),
            round.method.clone(),
            if round.accepted { "accepted" } else { "rejected" }.to_owned(),
            round.labelled.to_string(),
            round.unlabelled.to_string(),
            round.subset_one.to_string(),
            round.subset_two.to_string(),
            share(round.validation_accuracy),
            share(round.validation_macro_f1),
        ]
    });
    table(
        &["round", "method", "gate", "labelled", "unlabelled", "subset I", "subset II", "accuracy", "macro-F1"],
        &[0, 3, 4, 5, 6, 7, 8],
        rows,
    )
    .to_string()
}

fn one(round: &Round, epochs: &[Epoch], margins: &[Margin]) -> String {
    let epoch_rows = epochs.iter().map(|epoch| {
        vec![
            epoch.epoch.to_string(),
            number(Some(f64::from(epoch.loss))),
            number(Some(f64::from(epoch.loss_supervised))),
            number(Some(f64::from(epoch.loss_unlabelled))),
            number(Some(f64::from(epoch.loss_contrastive))),
            percent(Some(f64::from(epoch.acceptance_rate))),
            percent(epoch.validation_accuracy.map(f64::from)),
            percent(epoch.validation_macro_f1.map(f64::from)),
            number(epoch.validation_nll.map(f64::from)),
            number(epoch.validation_ece.map(f64::from)),
            format!("{:.1}", epoch.seconds),
        ]
    });
    let epochs = table(
        &["epoch", "loss", "L_s", "L_u", "L_c", "subset I", "accuracy", "macro-F1", "NLL", "ECE", "seconds"],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
        epoch_rows,
    );
    let margin_rows = margins.iter().map(|margin| {
        vec![
            margin.expression.clone(),
            number(margin.mean_confidence.map(f64::from)),
            number(Some(f64::from(margin.margin))),
            margin.right_count.to_string(),
        ]
    });
    let margins = table(&["class", "mean confidence", "margin", "right"], &[1, 2, 3], margin_rows);
    format!("{}\n{epochs}\nmargins after the last epoch\n{margins}", train::people(round))
}

fn epoch_json(epoch: &Epoch) -> serde_json::Value {
    json!({
        "epoch": epoch.epoch,
        "steps": epoch.steps,
        "loss": epoch.loss,
        "loss_supervised": epoch.loss_supervised,
        "loss_unlabelled": epoch.loss_unlabelled,
        "loss_contrastive": epoch.loss_contrastive,
        "acceptance_rate": epoch.acceptance_rate,
        "subset_one": epoch.subset_one,
        "subset_two": epoch.subset_two,
        "labelled_accuracy": epoch.labelled_accuracy,
        "validation_accuracy": epoch.validation_accuracy,
        "validation_macro_f1": epoch.validation_macro_f1,
        "validation_nll": epoch.validation_nll,
        "validation_brier": epoch.validation_brier,
        "validation_ece": epoch.validation_ece,
        "validation_ece_equal_mass": epoch.validation_ece_equal_mass,
        "temperature": epoch.temperature,
        "seconds": epoch.seconds,
    })
}

fn margin_json(margin: &Margin) -> serde_json::Value {
    json!({
        "expression": margin.expression,
        "mean_confidence": margin.mean_confidence,
        "margin": margin.margin,
        "right": margin.right_count,
    })
}

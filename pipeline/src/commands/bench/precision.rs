//! `bench precision`: how right the pseudo-labels are, where an import kept the truth.

use serde_json::json;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::precision::against_truth;
use crate::tables::percent;

/// Arguments of `bench precision`.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Runs `bench precision`.
pub async fn run(_args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let counts = against_truth(&opened.session().await?).await?;
    let (Some(one), Some(all)) = (counts.of_subset_one().or(Some(0.0)), counts.of_all()) else {
        return Err(Error::NothingToEvaluate);
    };
    let value = json!({
        "predictions": counts.all,
        "subset_one": counts.subset_one,
        "subset_one_share": counts.subset_one_share(),
        "subset_one_precision": counts.of_subset_one(),
        "precision_of_all": all,
        "ratio": one / all,
    });
    console.print(&value, |_| {
        format!(
            "{} predictions with a known truth: {} right; subset I has {} of them: {} right, {:.2} times as often",
            counts.all,
            percent(Some(all)),
            percent(counts.subset_one_share()),
            percent(counts.of_subset_one()),
            one / all
        )
    })
}

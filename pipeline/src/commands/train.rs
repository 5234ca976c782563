//! `train`: one round, or one whenever it is due.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use marginalia_store::tables::rounds::Round;
use marginalia_trainer::methods::REGISTRY;
use serde_json::{Value, json};

use crate::cluster::ClusterArgs;
use crate::config::{Config, Every};
use crate::console::Console;
use crate::error::{Error, Result};
use crate::round::{RoundContext, RoundRequest, RoundRequests, run_round};
use crate::{priority, shutdown, supervisor};

/// Arguments of `train`: they override the config's `[train]` for this run.
#[derive(Debug, Default, clap::Args)]
pub struct Args {
    /// Learning method
    #[arg(long, value_parser = PossibleValuesParser::new(REGISTRY.iter().map(|(name, _)| *name)))]
    pub method: Option<String>,
    /// Epochs in the round
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Optimiser steps in an epoch
    #[arg(long)]
    pub steps: Option<u32>,
    /// Backbone: resnet18, resnet34 or resnet-tiny
    #[arg(long)]
    pub backbone: Option<String>,
    /// Go on: a round whenever one is due, at the latest after this time
    #[arg(long, value_name = "10m")]
    pub every: Option<Every>,
    /// Start from torchvision ResNet weights (.safetensors or .pth) instead of the last round
    #[arg(long, value_name = "FILE", conflicts_with = "every")]
    pub init: Option<PathBuf>,
    /// Seed of every random stream
    #[arg(long)]
    pub seed: Option<u64>,
    /// Other machines.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `train`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let every = args.every.and_then(Every::duration);
    if every.is_some() {
        priority::people_come_first();
    }
    let mut opened = console.on(&args.cluster).open().await?;
    override_config(&mut opened.config, &args)?;
    let token = shutdown::on_signals()?;
    let (reporter, handle) = console.report();
    let context = RoundContext {
        corpus: opened.corpus.clone(),
        sql: opened.sql.clone(),
        config: opened.config.clone(),
        reporter: reporter.clone(),
        token: token.clone(),
    };
    if every.is_some() {
        let outcome = supervisor::train_when_due(&context, every, &RoundRequests::default()).await;
        handle.finish();
        return outcome;
    }
    let request = RoundRequest { trigger: "manual".to_owned(), init: args.init };
    let outcome = run_round(&context, &request).await;
    handle.finish();
    match outcome? {
        Some(round) => console.print(&summary(&round), |_| people(&round)),
        None => Err(Error::Interrupted { what: "the round" }),
    }
}

/// Lets the command line have its way.
pub fn override_config(config: &mut Config, args: &Args) -> Result<()> {
    let train = &mut config.train;
    if let Some(method) = &args.method {
        train.method.clone_from(method);
    }
    if let Some(backbone) = &args.backbone {
        train.backbone.clone_from(backbone);
    }
    train.epochs_per_round = args.epochs.unwrap_or(train.epochs_per_round);
    train.steps_per_epoch = args.steps.unwrap_or(train.steps_per_epoch);
    train.seed = args.seed.unwrap_or(train.seed);
    config.validate()
}

/// A round as JSON.
pub fn summary(round: &Round) -> Value {
    json!({
        "round": round.round,
        "method": round.method,
        "seed": round.seed,
        "trigger": round.trigger,
        "accepted": round.accepted,
        "gate": round.gate,
        "labelled": round.labelled,
        "unlabelled": round.unlabelled,
        "pool": round.pool,
        "validation": round.validation,
        "scored": round.scored,
        "subset_one": round.subset_one,
        "subset_two": round.subset_two,
        "validation_accuracy": round.validation_accuracy,
        "validation_macro_f1": round.validation_macro_f1,
        "validation_best_macro_f1": round.validation_best_macro_f1,
        "temperature": round.temperature,
        "checkpoint": round.checkpoint,
        "checkpoint_hash": round.checkpoint_hash,
        "seconds": Duration::from_micros(round.finished_at.0.abs_diff(round.started_at.0)).as_secs_f64(),
    })
}

/// A round for people.
pub fn people(round: &Round) -> String {
    let f1 = |value: Option<f32>| crate::tables::percent(value.map(f64::from));
    let mut text = format!(
        "round {} ({}, seed {}): {}\n  trained on {} labelled and {} of {} unlabelled faces\n  scored {}: subset I {}, subset II {}\n  \
         validation ({} faces): accuracy {}, macro-F1 {} (best epoch {})\n  gate: {}",
        round.round,
        round.method,
        round.seed,
        if round.accepted { "committed" } else { "rejected by the gate" },
        round.labelled,
        round.unlabelled,
        round.pool,
        round.scored,
        round.subset_one,
        round.subset_two,
        round.validation,
        f1(round.validation_accuracy),
        f1(round.validation_macro_f1),
        f1(round.validation_best_macro_f1),
        round.gate,
    );
    if let Some(warning) = crate::round::warning(round) {
        text.push_str(&format!("\n  warning: {warning}"));
    }
    text
}

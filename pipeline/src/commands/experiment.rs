//! `experiment`: many training runs compared, in tables and plots that say how to come to the same.

use std::path::{Path, PathBuf};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use marginalia_datasets::LabelBudget;
use marginalia_store::write_whole;
use marginalia_trainer::methods::REGISTRY;

use super::train;
use crate::console::{Console, Opened};
use crate::error::{Error, ExperimentError, Result};
use crate::experiment::data_set::DataSet;
use crate::experiment::given::Given;
use crate::experiment::label_time::label_time;
use crate::experiment::plan::{Init, Plan, Simulation};
use crate::experiment::results::{Records, Results};
use crate::experiment::studies::{Kind, STUDIES, Study};
use crate::experiment::{self, corpora, folder, plots, words};
use crate::report::Reporter;
use crate::round::RoundContext;
use crate::shutdown;

/// Arguments of `experiment`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = studies())]
pub struct Args {
    /// What is compared; `--help` says more
    #[arg(value_parser = PossibleValuesParser::new(STUDIES.iter().map(|of| of.name)).try_map(|name| named(&name)))]
    pub study: &'static Study,
    /// Data set: FORMAT:PATH, FORMAT:TRAIN,test=TEST, FORMAT[OPTION=VALUE,…]:PATH (also class-map=NAME), corpus:DIR or
    /// synthetic:FACES; may be given several times [default: this corpus]
    #[arg(long = "dataset", value_name = "FORMAT:PATH")]
    pub data_sets: Vec<Given>,
    /// How many labels are known: N, per-class:N or ada-cm:N each
    #[arg(long, value_name = "BUDGET,…", value_delimiter = ',', default_value = "per-class:100")]
    pub labels: Vec<LabelBudget>,
    /// Methods, or the study's own arms [default: those of the report; `--help` lists them]
    #[arg(long = "methods", visible_alias = "arms", value_name = "A,B,…", value_delimiter = ',')]
    pub arms: Vec<String>,
    /// Seeds, one run each
    #[arg(long, value_name = "1,2,…", value_delimiter = ',', default_values = ["1", "2", "3"])]
    pub seeds: Vec<u64>,
    /// Rounds of a simulation (active-learning)
    #[arg(long, default_value_t = 8)]
    pub rounds: u32,
    /// Labels between two rounds of a simulation (active-learning)
    #[arg(long, value_name = "LABELS", default_value_t = 70)]
    pub per_round: usize,
    /// Learning method of a simulation's rounds (active-learning)
    #[arg(long, value_parser = PossibleValuesParser::new(REGISTRY.iter().map(|(name, _)| *name)))]
    pub method: Option<String>,
    /// Epochs of a run, or of each round of a simulation
    #[arg(long)]
    pub epochs: Option<u32>,
    /// Optimiser steps in an epoch
    #[arg(long)]
    pub steps: Option<u32>,
    /// Backbone: resnet18, resnet34 or resnet-tiny
    #[arg(long)]
    pub backbone: Option<String>,
    /// Start from torchvision ResNet weights (.safetensors or .pth)
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Folder for the table, its csv and the plots [default: experiments/STUDY in the corpus]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
}

/// Runs `experiment`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let study = args.study;
    let mut opened = console.open().await?;
    let of_train = train::Args {
        method: args.method.clone(),
        epochs: args.epochs,
        steps: args.steps,
        backbone: args.backbone.clone(),
        ..Default::default()
    };
    train::override_config(&mut opened.config, &of_train)?;
    let arms = study.wanted(&opened.config.train, &args.arms)?;
    let init = args.init.as_deref().map(Init::read).transpose()?;
    let output = args.output.clone().unwrap_or_else(|| folder(opened.corpus.path()).join(study.name));
    let token = shutdown::on_signals()?;
    let (reporter, handle) = console.report();
    let outcome = async {
        let data_sets = open_all(&args.data_sets, study, &opened, &reporter).await?;
        let simulation = Simulation::new(args.rounds, args.per_round, &opened.config.round);
        let (labels, seeds) = (args.labels.clone(), args.seeds.clone());
        let label_time = label_time(&opened).await?;
        let (train, command) = (opened.config.train.clone(), command());
        let plan = Plan { study, train, arms, data_sets, labels, seeds, init, simulation, label_time, command };
        let context = RoundContext {
            corpus: opened.corpus.clone(),
            sql: opened.sql.clone(),
            config: opened.config.clone(),
            reporter: reporter.clone(),
            token: token.clone(),
        };
        let (records, diverged) = experiment::run(&plan, &context).await?;
        Ok::<_, Error>((plan, records, diverged))
    }
    .await;
    handle.finish();
    let (plan, records, diverged) = outcome?;
    let results = Results::of(&plan, &records, diverged);
    let text = words::markdown(&results, &plan);
    write_down(&output, &plan, &records, &results, &text)?;
    console.print(&results, |_| format!("{text}\nThe same, its csv and the plots are in {}", output.display()))?;
    match token.is_cancelled() && !results.are_whole() {
        true => Err(Error::Interrupted { what: "the experiment" }),
        false => Ok(()),
    }
}

/// Opens what was named, or takes the corpus itself; names are made to differ.
async fn open_all(given: &[Given], study: &Study, home: &Opened, reporter: &Reporter) -> Result<Vec<DataSet>> {
    let mut data_sets: Vec<DataSet> = Vec::new();
    for given in given {
        let mut data_set = corpora::open(&given.clone().resolved()?, home, reporter).await?;
        let name = data_set.name.clone();
        let mut number = 1;
        while data_sets.iter().any(|other| other.name == data_set.name) {
            number += 1;
            data_set.name = format!("{name}-{number}");
        }
        data_sets.push(data_set);
    }
    if data_sets.is_empty() {
        data_sets.push(DataSet::of(home, corpora::name_of(home.corpus.path()), None).await?);
    }
    if study.kind == Kind::Transfer && data_sets.len() < 2 {
        return Err(ExperimentError::TooFewDataSets { study: study.name }.into());
    }
    Ok(data_sets)
}

fn write_down(output: &Path, plan: &Plan, records: &Records, results: &Results, text: &str) -> Result<()> {
    std::fs::create_dir_all(output).map_err(Error::io(output))?;
    let mut files = plots::of_results(results);
    // One run of every arm: its first seed and largest budget.
    let first = plan.cells().filter(|cell| Some(&cell.seed) == plan.seeds.first());
    let rows = first.filter(|cell| Some(&cell.labels) == plan.labels.last()).filter_map(|cell| {
        let target = plan.targets(cell.data_set).next()?;
        records.get(&plan.key(&cell, target))
    });
    files.extend(rows.filter_map(plots::of_margins));
    write_whole(&output.join("table.md"), text.as_bytes())?;
    write_whole(&output.join("runs.csv"), &words::csv(plan, records)?)?;
    for (name, svg) in files {
        write_whole(&output.join(name), svg.as_bytes())?;
    }
    Ok(())
}

/// The command line as a shell takes it.
fn command() -> String {
    let word = |word: String| match word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=,@+%".contains(c)) {
        true => word,
        false => format!("'{}'", word.replace('\'', r"'\''")),
    };
    let rest = std::env::args().skip(1).map(word);
    std::iter::once("marginalia".to_owned()).chain(rest).collect::<Vec<_>>().join(" ")
}

/// Every study with its arms, for help.
fn studies() -> String {
    let mut text = "Studies:".to_owned();
    for study in STUDIES {
        let arms = (study.arms)(&Default::default()).into_iter().map(|arm| arm.name).collect::<Vec<_>>().join(", ");
        text += &format!("\n  {:<10}{}\n  {:<10}arms: {arms}", study.name, study.about, "");
    }
    text
}

/// The study of that name.
fn named(name: &str) -> Result<&'static Study> {
    let known = || STUDIES.iter().map(|study| study.name).collect::<Vec<_>>().join(", ");
    let study = STUDIES.iter().find(|study| study.name == name).copied();
    study.ok_or_else(|| ExperimentError::UnknownStudy { name: name.to_owned(), known: known() }.into())
}

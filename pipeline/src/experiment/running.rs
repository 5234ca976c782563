//! The runs of a plan, one after the other, each recorded as it ends.

use std::path::PathBuf;
use std::time::Instant;

use marginalia_datasets::Classes;
use marginalia_store::locks::{Lock, Purpose};
use marginalia_store::tables::experiments::Experiment;
use marginalia_trainer::{ClassReport, Control, EpochReport, RoundData, Start, StepReport, TrainerConfig, Training};
use serde_json::{Value, json};

use super::clock::Clock;
use super::data_set::DataSet;
use super::divergence::{divergence, note, noted};
use super::outcome::Outcome;
use super::plan::{Cell, Plan};
use super::results::{Records, is_recorded};
use super::simulating::{Simulated, simulate};
use super::studies::Kind;
use crate::computing::on_computing_thread;
use crate::error::{Error, Result};
use crate::events::Event;
use crate::report::Reporter;
use crate::round::epochs::{Epochs, Watcher, finished, keep_model, train_in};
use crate::round::{RoundContext, stopped_by};

/// Runs what has not been run yet, until the token stops it. Returns every record there is, those of earlier commands too, and
/// for each run of the plan that diverged what became of it.
///
/// # Errors
/// A plan with a run that cannot be made; another process at it; anything that stops a training but a loss that is no number
/// any more, which costs that run alone.
pub async fn run(plan: &Plan, context: &RoundContext) -> Result<(Records, Vec<String>)> {
    plan.check()?;
    let lock = Lock::take(context.corpus.home(), Purpose::Experiment).await?;
    let rows = context.corpus.snapshot().await?.rows::<Experiment>(None).await?;
    let mut records: Records = rows.into_iter().map(|row| ((row.run.clone(), row.target.clone()), row)).collect();
    let cells = plan.runs();
    let (mut to_come, mut diverged) = (Vec::new(), Vec::new());
    for cell in &cells {
        if !is_recorded(plan, &records, cell) {
            match noted(&folder(context, &plan.run(cell)))? {
                Some(note) => diverged.push(note),
                None => to_come.push(cell),
            }
        }
    }
    let (runs, done) = (cells.len() as u64, (cells.len() - to_come.len()) as u64);
    context.reporter.emit(Event::ExperimentPlanned { study: plan.study.name.to_owned(), runs, done });
    let mut clock = Clock::new(&to_come);
    for (number, cell) in (done + 1..).zip(to_come) {
        if context.token.is_cancelled() {
            break;
        }
        lock.check()?;
        let is_missing = |target: &&DataSet| !records.contains_key(&plan.key(cell, target));
        let missing: Vec<&DataSet> = plan.targets(cell.data_set).filter(is_missing).collect();
        let running = Running { plan, cell, run: plan.run(cell), context, number, runs };
        match running.go(&missing).await {
            Ok(Some(rows)) => {
                clock.ended(&cell.arm.name, rows.first().map(|row| row.seconds));
                context.corpus.writer::<Experiment>().append(rows.clone()).await?;
                running.tell(&rows, clock.left());
                running.clean_up()?;
                records.extend(rows.into_iter().map(|row| ((row.run.clone(), row.target.clone()), row)));
            }
            Ok(None) => break,
            Err(error) => {
                let Some(why) = divergence(&error) else { return Err(error) };
                context.reporter.warn(format!("{}: {error}; the table has no figure for it", running.name()));
                clock.ended(&cell.arm.name, None);
                let text = format!("{}: {why}", running.name());
                note(&running.folder(), &text)?;
                diverged.push(text);
            }
        }
    }
    lock.release().await;
    Ok((records, diverged))
}

/// What a run works in, and what it leaves.
fn folder(context: &RoundContext, run: &str) -> PathBuf {
    super::folder(context.corpus.path()).join("runs").join(&run[..16])
}

/// What a run came to.
struct Ended {
    /// One per data set it was measured on.
    outcomes: Vec<Outcome>,
    /// What was measured on the way.
    curve: Value,
    checkpoint_hash: String,
    labelled: u64,
    unlabelled: u64,
    seconds: f64,
}

/// One run under way.
struct Running<'a> {
    plan: &'a Plan,
    cell: &'a Cell<'a>,
    run: String,
    context: &'a RoundContext,
    /// Which of the plan's runs it is, from 1.
    number: u64,
    runs: u64,
}

impl Running<'_> {
    /// Does what is left of the run and measures it on what is missing; `None` where the token stopped it.
    async fn go(&self, missing: &[&DataSet]) -> Result<Option<Vec<Experiment>>> {
        let ended = match self.plan.study.kind {
            Kind::Simulation => self.simulate().await?,
            Kind::Training | Kind::Transfer => self.train(missing).await?,
        };
        Ok(ended.map(|ended| self.rows(missing, ended)))
    }

    async fn simulate(&self) -> Result<Option<Ended>> {
        let started = Instant::now();
        let (config, simulation) = (self.plan.config(self.cell), &self.plan.simulation);
        let simulated = simulate(self.cell, config, simulation, &self.folder(), self.context).await?;
        Ok(simulated.map(|Simulated { curve, outcome, checkpoint_hash, labelled, unlabelled }| Ended {
            outcomes: vec![outcome],
            curve: json!(curve),
            checkpoint_hash,
            labelled,
            unlabelled,
            seconds: started.elapsed().as_secs_f64(),
        }))
    }

    async fn train(&self, missing: &[&DataSet]) -> Result<Option<Ended>> {
        let cell = self.cell;
        let data = cell.data_set.round_data(cell.labels, cell.seed, cell.arm.generated)?;
        let (labelled, unlabelled) = (data.labelled.len() as u64, data.unlabelled.len() as u64);
        let (control, stopper) = stopped_by(&self.context.token);
        let work = self.work(data, control);
        let targets: Vec<DataSet> = missing.iter().map(|target| (*target).clone()).collect();
        let trained_on = cell.data_set.clone();
        let outcome = on_computing_thread(move || {
            let epochs = work.train()?;
            let outcomes = targets.iter().map(|target| work.measure(&epochs, &trained_on, target));
            Ok::<_, Error>((outcomes.collect::<Result<Vec<_>>>()?, epochs))
        })
        .await?;
        stopper.abort();
        let (outcomes, epochs) = match outcome {
            Err(Error::Trainer(marginalia_trainer::Error::Cancelled)) => return Ok(None),
            other => other?,
        };
        Ok(Some(Ended {
            outcomes,
            curve: json!(epochs.reports.iter().map(point).collect::<Vec<_>>()),
            checkpoint_hash: epochs.checkpoint_hash,
            labelled,
            unlabelled,
            seconds: epochs.reports.iter().map(|report| report.seconds).sum(),
        }))
    }

    fn folder(&self) -> PathBuf {
        folder(self.context, &self.run)
    }

    fn name(&self) -> String {
        let Cell { arm, data_set, labels, seed } = self.cell;
        format!("{} on {}, {labels}, seed {seed}", arm.name, data_set.name)
    }

    /// Of a recorded training only the model stays. A simulation goes whole: it has a corpus of its own, with all faces and a
    /// checkpoint for every round, and its record says what came of it.
    fn clean_up(&self) -> Result<()> {
        let folder = self.folder();
        match self.plan.study.kind {
            Kind::Simulation => std::fs::remove_dir_all(&folder).map_err(Error::io(folder)),
            Kind::Training | Kind::Transfer => keep_model(&folder),
        }
    }

    fn work(&self, data: RoundData, control: Control) -> Work {
        Work {
            folder: self.folder(),
            config: self.plan.config(self.cell),
            start: self.plan.init.as_ref().map_or(Start::Scratch, |init| Start::Weights(init.path.clone())),
            data,
            control,
            classes: self.cell.data_set.classes.clone(),
            told: Told {
                reporter: self.context.reporter.clone(),
                run: self.number,
                runs: self.runs,
                name: self.name(),
            },
        }
    }

    fn rows(&self, targets: &[&DataSet], ended: Ended) -> Vec<Experiment> {
        let Cell { arm, data_set, labels, seed } = self.cell;
        let row = |(target, outcome): (&&DataSet, &Outcome)| Experiment {
            run: self.run.clone(),
            study: self.plan.study.name.to_owned(),
            arm: arm.name.clone(),
            dataset: data_set.name.clone(),
            labels: labels.to_string(),
            labelled: ended.labelled,
            unlabelled: ended.unlabelled,
            seed: *seed,
            target: self.plan.key(self.cell, target).1,
            faces: outcome.faces,
            left_out: target.test_count() as u64 - outcome.faces,
            accuracy: outcome.accuracy,
            macro_f1: outcome.macro_f1,
            baseline_class: outcome.baseline.class.clone(),
            baseline_accuracy: outcome.baseline.accuracy,
            baseline_macro_f1: outcome.baseline.macro_f1,
            per_class: json!(outcome.per_class).to_string(),
            curve: ended.curve.to_string(),
            config: json!(self.plan.config(self.cell)).to_string(),
            checkpoint_hash: ended.checkpoint_hash.clone(),
            command: self.plan.command.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            seconds: ended.seconds,
            finished_at: self.context.corpus.log().now(),
        };
        targets.iter().zip(&ended.outcomes).map(row).collect()
    }

    fn tell(&self, rows: &[Experiment], seconds_left: f64) {
        for row in rows {
            self.context.reporter.emit(Event::RunRecorded {
                run: self.number,
                runs: self.runs,
                name: self.name(),
                target: row.target.clone(),
                accuracy: row.accuracy,
                macro_f1: row.macro_f1,
                seconds: row.seconds,
                seconds_left,
            });
        }
    }
}

/// What the computing thread does.
struct Work {
    folder: PathBuf,
    config: TrainerConfig,
    start: Start,
    data: RoundData,
    control: Control,
    classes: Classes,
    told: Told,
}

impl Work {
    fn train(&self) -> Result<Epochs> {
        if let Some(epochs) = finished(&self.folder)? {
            return Ok(epochs);
        }
        let begin = || Ok(Training::new(self.config.clone(), self.classes.clone(), 1, self.start.clone())?);
        train_in(&self.folder, begin, &self.data, &self.control, &mut self.told.clone())
    }

    fn measure(&self, epochs: &Epochs, trained_on: &DataSet, target: &DataSet) -> Result<Outcome> {
        let own = epochs.reports.last().and_then(|report| report.validation.as_ref());
        match own {
            // Measured after the last epoch already.
            Some(metrics) if target.name == trained_on.name => {
                Outcome::of(metrics, &self.classes).ok_or(Error::NothingToEvaluate)
            }
            _ => {
                let faces = target.test_faces(&self.classes);
                Outcome::measure(&self.folder, self.config.threads, &faces, target.source(), &self.classes)
            }
        }
    }
}

/// Steps as events.
#[derive(Clone)]
struct Told {
    reporter: Reporter,
    run: u64,
    runs: u64,
    name: String,
}

impl Watcher for Told {
    fn step(&mut self, report: &StepReport) {
        self.reporter.emit(Event::RunStep {
            run: self.run,
            runs: self.runs,
            name: self.name.clone(),
            epoch: report.epoch,
            step: report.step,
            steps: report.steps,
        });
    }

    fn epoch(&mut self, _: &EpochReport) -> Result<()> {
        Ok(())
    }
}

/// An epoch as a point of the curve: everything that the report argues from.
fn point(report: &EpochReport) -> Value {
    let of_class = |value: fn(&ClassReport) -> Option<f64>| {
        report.classes.iter().map(|class| (class.class.clone(), json!(value(class)))).collect::<serde_json::Map<_, _>>()
    };
    json!({
        "epoch": report.epoch,
        "accuracy": report.validation.as_ref().map(|metrics| metrics.accuracy),
        "macro_f1": report.validation.as_ref().map(|metrics| metrics.macro_f1),
        "labelled_accuracy": report.labelled_accuracy,
        "subset_one_share": report.acceptance_rate,
        "losses": report.losses.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<serde_json::Map<_, _>>(),
        "confidence": of_class(|class| class.mean_confidence),
        "margin": of_class(|class| Some(class.margin)),
        "seconds": report.seconds,
    })
}

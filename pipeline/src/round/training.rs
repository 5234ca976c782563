//! The training of a round, on a thread of its own.
//!
//! In: the round's data. Out: a checkpoint in the round's folder and a report per epoch, told as events.

use std::collections::HashMap;
use std::path::PathBuf;

use marginalia_datasets::Classes;
use marginalia_store::Timestamp;
use marginalia_store::tables::epochs::Epoch;
use marginalia_store::tables::margins::Margin;
use marginalia_trainer::tensorboard::EventFile;
use marginalia_trainer::{Control, EpochReport, LoadedWeights, Metrics, RoundData, Start, StepReport, Training};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::epochs::{Epochs, Watcher, train_in};
use super::{PlannedConfig, Prepared, Run};
use crate::computing::on_computing_thread;
use crate::error::{Error, Result};
use crate::events::{ClassMargin, Event, LossTerm};
use crate::report::Reporter;

/// Share of the steps' time that they may wait for images before it is worth a warning ...
const WAITING_ALLOWED: f64 = 0.05;

/// ... in epochs of this many seconds: in shorter ones the first batch, which nothing hides, is most of it.
const LONG_ENOUGH: f64 = 10.0;

/// What training left.
pub(super) struct Trained {
    pub reports: Vec<EpochReport>,
    /// When each of these epochs ended.
    ended: Vec<Timestamp>,
    pub checkpoint_hash: String,
    /// Temperature fitted on the validation split.
    pub temperature: Option<f32>,
    learning_rate: f64,
    steps_per_epoch: u32,
}

impl Run<'_> {
    /// Trains what is left of the round; `None` where the token stopped it.
    pub(super) async fn train(&self, prepared: &Prepared) -> Result<Option<Trained>> {
        let (control, stopper) = stopped_by(&self.context.token);
        if let Some(continues) = &self.planned.continues {
            self.context.corpus.home().pull(&continues.to_string_lossy()).await?;
        }
        let job = Job {
            planned: self.planned.clone(),
            classes: Classes::new(self.context.corpus.classes().to_vec())?,
            corpus: self.context.corpus.path().to_owned(),
            folder: self.writer.folder(),
            round: self.round(),
            data: prepared.data.clone(),
            control,
            reporter: self.context.reporter.clone(),
        };
        let outcome = on_computing_thread(move || job.run()).await?;
        stopper.abort();
        match outcome {
            Err(Error::Trainer(marginalia_trainer::Error::Cancelled)) => Ok(None),
            other => other.map(Some),
        }
    }
}

/// A control that the token stops, and the task that sees to it, to be aborted afterwards.
pub fn stopped_by(token: &CancellationToken) -> (Control, JoinHandle<()>) {
    let control = Control::default();
    let (stopped, token) = (control.clone(), token.clone());
    let stopper = tokio::spawn(async move {
        token.cancelled().await;
        stopped.cancel();
    });
    (control, stopper)
}

/// Everything that training needs on its thread.
pub(super) struct Job {
    pub planned: PlannedConfig,
    pub classes: Classes,
    pub corpus: PathBuf,
    /// Where the checkpoint goes.
    pub folder: PathBuf,
    pub round: u32,
    pub data: RoundData,
    pub control: Control,
    pub reporter: Reporter,
}

impl Job {
    /// Trains what is left; nothing is left out but what the checkpoint in the folder has done.
    pub fn run(self) -> Result<Trained> {
        let config = &self.planned.train;
        let mut watcher = Told { job: &self, events: None, ended: HashMap::new() };
        if self.planned.round.tensorboard {
            watcher.events = Some(EventFile::create(&self.corpus.join("tensorboard"), self.round)?);
        }
        let begin = || self.begin();
        let Epochs { reports, checkpoint_hash } =
            train_in(&self.folder, begin, &self.data, &self.control, &mut watcher)?;
        let ended = ends(&reports, &watcher.ended);
        // Measured with the last epoch's metrics, on the same faces.
        let calibration = reports.last().and_then(|report| report.calibration.as_ref());
        let temperature = calibration.map(|calibration| calibration.temperature as f32);
        let (learning_rate, steps_per_epoch) = (config.learning_rate, config.steps_per_epoch);
        Ok(Trained { reports, ended, checkpoint_hash, temperature, learning_rate, steps_per_epoch })
    }

    fn begin(&self) -> Result<Training> {
        let start = match (&self.planned.init, &self.planned.continues) {
            (Some(file), _) => Start::Weights(file.clone()),
            (None, Some(folder)) => Start::Checkpoint(self.corpus.join(folder)),
            (None, None) => Start::Scratch,
        };
        let training = Training::new(self.planned.train.clone(), self.classes.clone(), self.round, start)?;
        if let Some(loaded) = training.loaded_weights() {
            self.check_init(loaded)?;
        }
        Ok(training)
    }

    /// Refuses a file of weights that is not the one of the plan.
    fn check_init(&self, loaded: &LoadedWeights) -> Result<()> {
        let LoadedWeights { path, hash, .. } = loaded;
        match &self.planned.init_hash {
            Some(planned) if planned != hash => {
                let round = self.round;
                let problem = format!("not the file that round {round} starts from: BLAKE3 is {hash}, not {planned}");
                Err(marginalia_trainer::Error::File { path: path.clone(), problem }.into())
            }
            _ => Ok(()),
        }
    }

    fn report_step(&self, step: &StepReport) {
        let (round, epochs) = (self.round, self.planned.train.epochs_per_round);
        let loss = named(&step.losses, "total").unwrap_or(f64::NAN);
        let &StepReport { epoch, step, steps, ref losses, accepted, split, .. } = step;
        self.reporter.emit(match epoch {
            0 => Event::WarmStartStep { round, step, steps, loss },
            _ => {
                let subset_one_share = (split > 0).then(|| accepted as f64 / split as f64);
                let losses = terms(losses);
                Event::EpochStep { round, epoch, epochs, step, steps, loss, losses, subset_one_share }
            }
        });
    }

    fn report_epoch(&self, report: &EpochReport) {
        let epochs = self.planned.train.epochs_per_round;
        for face_id in &report.undecodable {
            tracing::warn!("face {face_id} does not decode any more; run `marginalia verify`");
        }
        let waiting = report.waiting_share();
        if waiting > WAITING_ALLOWED && report.training_seconds > LONG_ENOUGH {
            tracing::warn!(
                "in epoch {} the steps waited {:.0} % of their time for images: give decoding more threads \
                 (`loader_threads` under [train] in marginalia.toml), or the corpus a faster disk",
                report.epoch,
                waiting * 100.0
            );
        }
        let margins = report.classes.iter().map(|class| ClassMargin {
            expression: class.class.clone(),
            margin: class.margin,
            mean_confidence: class.mean_confidence,
            right: class.right,
        });
        self.reporter.emit(Event::EpochFinished {
            round: self.round,
            epoch: report.epoch,
            epochs,
            t: report.t,
            losses: terms(&report.losses),
            subset_one_share: report.acceptance_rate,
            validation_accuracy: report.validation.as_ref().map(|metrics| metrics.accuracy),
            validation_macro_f1: report.validation.as_ref().map(|metrics| metrics.macro_f1),
            margins: margins.collect(),
            waiting_share: report.waiting_share(),
            seconds: report.seconds,
        });
    }
}

/// A job whose steps and epochs become events, and TensorBoard's where that is wanted.
struct Told<'a> {
    job: &'a Job,
    events: Option<EventFile>,
    ended: HashMap<u32, Timestamp>,
}

impl Watcher for Told<'_> {
    fn step(&mut self, report: &StepReport) {
        self.job.report_step(report);
    }

    fn epoch(&mut self, report: &EpochReport) -> Result<()> {
        self.ended.insert(report.epoch, Timestamp::now());
        self.job.report_epoch(report);
        if let Some(events) = &mut self.events {
            events.add_epoch(report)?;
        }
        Ok(())
    }
}

impl Trained {
    /// Accuracy of the last epoch's teacher on the validation split.
    pub fn validation_accuracy(&self) -> Option<f32> {
        Some(self.reports.last()?.validation.as_ref()?.accuracy as f32)
    }

    /// Macro-F1 of the last epoch's teacher on the validation split.
    pub fn validation_macro_f1(&self) -> Option<f32> {
        Some(self.reports.last()?.validation.as_ref()?.macro_f1 as f32)
    }

    /// Best macro-F1 of any epoch: the second number, never the first.
    pub fn best_macro_f1(&self) -> Option<f32> {
        self.reports.iter().filter_map(|report| Some(report.validation.as_ref()?.macro_f1 as f32)).reduce(f32::max)
    }

    /// Rows of `epochs` and `margins`.
    pub fn rows(&self, round: u32, classes: &[String]) -> (Vec<Epoch>, Vec<Margin>) {
        let reports = self.reports.iter().zip(&self.ended);
        let epochs = reports.map(|(report, &ended)| self.epoch_row(round, report, ended)).collect();
        let margins = self.reports.iter().flat_map(|report| {
            classes.iter().zip(&report.classes).map(move |(expression, class)| Margin {
                round,
                epoch: report.epoch,
                t: report.t,
                expression: expression.clone(),
                mean_confidence: class.mean_confidence.map(|confidence| confidence as f32),
                margin: class.margin as f32,
                right_count: class.right,
            })
        });
        (epochs, margins.collect())
    }

    fn epoch_row(&self, round: u32, report: &EpochReport, ended: Timestamp) -> Epoch {
        let loss = |name| named(&report.losses, name).unwrap_or(0.0) as f32;
        let held_out = |value: fn(&Metrics) -> f64| report.validation.as_ref().map(|metrics| value(metrics) as f32);
        Epoch {
            round,
            epoch: report.epoch,
            steps: u64::from(self.steps_per_epoch),
            loss: loss("total"),
            loss_supervised: loss("supervised"),
            loss_unlabelled: loss("unlabelled"),
            loss_contrastive: loss("contrastive"),
            learning_rate: self.learning_rate,
            acceptance_rate: report.acceptance_rate.unwrap_or(0.0) as f32,
            subset_one: report.subset_one,
            subset_two: report.subset_two,
            labelled_accuracy: report.labelled_accuracy as f32,
            validation_accuracy: held_out(|metrics| metrics.accuracy),
            validation_macro_f1: held_out(|metrics| metrics.macro_f1),
            validation_nll: held_out(|metrics| metrics.nll),
            validation_brier: held_out(|metrics| metrics.brier),
            validation_ece: held_out(|metrics| metrics.ece),
            validation_ece_equal_mass: held_out(|metrics| metrics.ece_equal_mass),
            temperature: report.calibration.as_ref().map(|calibration| calibration.temperature as f32),
            seconds: report.seconds,
            finished_at: ended,
        }
    }
}

/// When epochs ended: as `seen`, and those before a kill as the next one began.
fn ends(reports: &[EpochReport], seen: &HashMap<u32, Timestamp>) -> Vec<Timestamp> {
    let mut next = Timestamp::now();
    let backwards = reports.iter().rev().map(|report| {
        let end = seen.get(&report.epoch).copied().unwrap_or(next);
        next = Timestamp(end.0 - (report.seconds * 1e6) as i64);
        end
    });
    let mut ends: Vec<Timestamp> = backwards.collect();
    ends.reverse();
    ends
}

fn terms(losses: &[(String, f64)]) -> Vec<LossTerm> {
    losses.iter().map(|(name, value)| LossTerm { name: name.clone(), value: *value }).collect()
}

fn named(losses: &[(String, f64)], name: &str) -> Option<f64> {
    losses.iter().find(|(term, _)| term == name).map(|(_, value)| *value)
}

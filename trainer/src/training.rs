//! One round of training: epochs of steps, and after every epoch the measurement that sets the margins.
//!
//! In: a configuration, a start, and a round's faces. Out: a report per epoch, and checkpoints. A training resumed from
//! its last saved epoch goes on with the same numbers as one that was never stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use marginalia_datasets::Classes;
use rayon::ThreadPool;

use crate::calibration::{Calibration, logits_of};
use crate::checkpoint::{self, CheckpointInfo, TrainingState};
use crate::config::TrainerConfig;
use crate::evaluation::{EvaluatedView, Evaluation};
use crate::health::not_finite_in_state;
use crate::inference::Inference;
use crate::learner::{Learner, LearnerState, thread_pool};
use crate::loader::RoundData;
use crate::margin::ClassConfidence;
use crate::methods::{self, Method};
use crate::metrics::Metrics;
use crate::network::Architecture;
use crate::report::{ClassReport, EpochReport, StepReport};
use crate::shortage::shortages;
use crate::steps::Steps;
use crate::streams::Streams;
use crate::views::pixels::Input;
use crate::warm_start::warm_start;
use crate::weights::{self, LoadedWeights};
use crate::{Error, Result};

/// Where a round's weights come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Fresh random weights.
    Scratch,
    /// The checkpoint folder of an earlier round: student, teacher, Adam, steps and t go on.
    Checkpoint(PathBuf),
    /// A file of torchvision weights, `.safetensors` or `.pth`.
    Weights(PathBuf),
}

/// A way to stop a training from outside; clones share one flag.
#[derive(Clone, Debug, Default)]
pub struct Control(Arc<AtomicBool>);

impl Control {
    /// Asks the training to stop before its next step.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked to.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A round under way.
pub struct Training {
    config: TrainerConfig,
    classes: Classes,
    round: u32,
    /// Epochs of this round that are done.
    epoch: u32,
    t: u32,
    mean_confidence: Vec<Option<f64>>,
    /// Whether the warm start is still to come.
    is_cold: bool,
    learner: Learner,
    method: Box<dyn Method>,
    pool: ThreadPool,
    /// The folder last saved to, or started from.
    last_good: Option<PathBuf>,
    loaded_weights: Option<LoadedWeights>,
}

impl Training {
    /// Begins `round`.
    ///
    /// # Errors
    /// Settings out of range, files that do not fit, or a checkpoint of another network.
    pub fn new(config: TrainerConfig, classes: Classes, round: u32, init: Start) -> Result<Self> {
        config.validate()?;
        let architecture = Architecture::new(&config, classes.len())?;
        let streams = Streams::new(config.seed, round);
        let mut method = methods::build(&config, classes.len())?;
        let (mut t, mut mean_confidence) = (0, vec![None; classes.len()]);
        let (mut last_good, mut loaded_weights) = (None, None);
        let is_cold = init == Start::Scratch && config.warm_start_steps > 0;
        let learner = match init {
            Start::Scratch => LearnerState::fresh(architecture.initial(&streams)),
            Start::Weights(path) => {
                let initial = architecture.initial(&streams);
                let tensors = architecture.without_auxiliary().tensors();
                let (state, loaded) = weights::load(&path, &tensors, classes.names(), initial)?;
                tracing::info!("{loaded}");
                loaded_weights = Some(loaded);
                LearnerState::fresh(state)
            }
            Start::Checkpoint(directory) => {
                let state = checkpoint::load_state(&directory)?;
                check_compatible(&state, &config, &classes, &directory)?;
                if state.config.method == config.method {
                    restore_method(method.as_mut(), &state, &directory)?;
                }
                if !config.margin.restart_t_each_round {
                    t = state.t;
                }
                mean_confidence = state.mean_confidence;
                last_good = Some(directory);
                // Another method may train another head beside that of the classes.
                match Architecture::new(&state.config, classes.len())?.auxiliary == architecture.auxiliary {
                    true => state.learner,
                    false => state.learner.refit(architecture.initial(&streams)),
                }
            }
        };
        method.begin_round();
        let training = Self::assemble(config, classes, round, learner, method)?;
        Ok(Self { t, mean_confidence, is_cold, last_good, loaded_weights, ..training })
    }

    /// Goes on with a round from its last saved epoch.
    pub fn resume(directory: &Path) -> Result<Self> {
        let state = checkpoint::load_state(directory)?;
        state.config.validate()?;
        let classes = checkpoint::classes(&state.classes, directory)?;
        let mut method = methods::build(&state.config, classes.len())?;
        restore_method(method.as_mut(), &state, directory)?;
        let TrainingState { config, round, epoch, t, mean_confidence, is_cold, learner, .. } = state;
        let training = Self::assemble(config, classes, round, learner, method)?;
        Ok(Self { epoch, t, mean_confidence, is_cold, last_good: Some(directory.to_owned()), ..training })
    }

    /// A round before its first epoch that nothing came before.
    fn assemble(
        config: TrainerConfig,
        classes: Classes,
        round: u32,
        learner: LearnerState,
        method: Box<dyn Method>,
    ) -> Result<Self> {
        let architecture = Architecture::new(&config, classes.len())?;
        let learner = Learner::new(&config, architecture, learner)?;
        let pool = thread_pool(config.threads, "trainer")?;
        Ok(Self {
            mean_confidence: vec![None; classes.len()],
            config,
            classes,
            round,
            epoch: 0,
            t: 0,
            is_cold: false,
            learner,
            method,
            pool,
            last_good: None,
            loaded_weights: None,
        })
    }

    /// The configuration in force.
    pub fn config(&self) -> &TrainerConfig {
        &self.config
    }

    /// What became of the file of a [`Start::Weights`].
    pub fn loaded_weights(&self) -> Option<&LoadedWeights> {
        self.loaded_weights.as_ref()
    }

    /// The classes, in order.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// The round's number.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// Epochs of this round that are done.
    pub fn epochs_done(&self) -> u32 {
        self.epoch
    }

    /// Whether the configured number of epochs is done.
    pub fn is_finished(&self) -> bool {
        self.epoch >= self.config.epochs_per_round
    }

    /// The learner, to look at.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// The margins in force.
    pub fn margins(&self) -> Vec<f32> {
        self.method.margins()
    }

    /// Trains one epoch, then measures. Before the first one comes the warm start, where one is set; its steps are
    /// reported as those of epoch 0.
    ///
    /// # Errors
    /// After any error (cancelling included) the weights stand somewhere within the epoch: drop this training and
    /// [`resume`](Self::resume) from the last saved epoch.
    pub fn run_epoch(
        &mut self,
        data: &RoundData,
        control: &Control,
        observe: &mut dyn FnMut(StepReport),
    ) -> Result<EpochReport> {
        data.check(self.classes.len(), self.method.views())?;
        if self.epoch == 0 {
            shortages(data, self.classes.names()).iter().for_each(|shortage| tracing::warn!("{shortage}"));
        }
        let steps = Steps {
            config: &self.config,
            classes: self.classes.len(),
            data,
            streams: Streams::new(self.config.seed, self.round),
            epoch: self.epoch + 1,
            pool: &self.pool,
            control,
            last_good: self.last_good.as_deref(),
        };
        let mut undecodable = Vec::new();
        if self.is_cold {
            undecodable = warm_start(&mut self.learner, &steps, observe)?;
            self.is_cold = false;
        }
        let started = Instant::now();
        self.method.begin_epoch(data);
        let margins_used = self.method.margins();
        let mut tally = steps.run(&mut self.learner, self.method.as_mut(), observe)?;
        let training_seconds = started.elapsed().as_secs_f64();
        let Measured { confidence, validation, calibration, unseen } = self.measure(data, control)?;
        undecodable.into_iter().chain(unseen).for_each(|face_id| tally.add_undecodable(face_id));
        self.method.after_epoch(&confidence);
        self.epoch += 1;
        self.t += 1;
        let before = std::mem::replace(&mut self.mean_confidence, confidence.mean.clone());
        let right: u64 = confidence.right.iter().sum();
        let labelled: u64 = confidence.count.iter().sum();
        Ok(EpochReport {
            epoch: self.epoch,
            t: self.t,
            steps: self.learner.steps(),
            losses: tally.mean_losses(),
            classes: self.class_reports(&confidence, &before, &margins_used, tally.accepted_by_class()),
            acceptance_rate: tally.acceptance_rate(),
            subset_one: tally.subset_one(),
            subset_two: tally.subset_two(),
            labelled_accuracy: right as f64 / labelled.max(1) as f64,
            validation,
            calibration,
            undecodable: tally.undecodable(),
            seconds: started.elapsed().as_secs_f64(),
            training_seconds,
            waiting_seconds: tally.waiting_seconds(),
            steps_per_second: f64::from(self.config.steps_per_epoch) / training_seconds.max(f64::MIN_POSITIVE),
        })
    }

    /// Saves the training into `directory`, over what may be there.
    ///
    /// # Errors
    /// Weights that are not finite: what is there stays. Or the file system's.
    pub fn save(&mut self, directory: &Path) -> Result<CheckpointInfo> {
        let learner = self.learner.state()?;
        if let Some(tensor) = not_finite_in_state(&learner) {
            return Err(Error::NotSaved { tensor, path: directory.to_owned() });
        }
        let state = TrainingState {
            config: self.config.clone(),
            classes: self.classes.names().to_vec(),
            round: self.round,
            epoch: self.epoch,
            t: self.t,
            method: self.method.state(),
            mean_confidence: self.mean_confidence.clone(),
            is_cold: self.is_cold,
            margins: self.method.margins(),
            learner,
        };
        let saved = checkpoint::save(&state, directory)?;
        self.last_good = Some(directory.to_owned());
        Ok(saved)
    }

    fn class_reports(
        &self,
        confidence: &ClassConfidence,
        before: &[Option<f64>],
        margins_used: &[f32],
        accepted: &[u64],
    ) -> Vec<ClassReport> {
        let margins = self.method.margins();
        let report = |(class, name): (usize, &String)| ClassReport {
            class: name.clone(),
            mean_confidence: confidence.mean[class],
            learning_speed: confidence.mean[class].zip(before[class]).map(|(now, before)| now - before),
            margin_used: f64::from(margins_used[class]),
            margin: f64::from(margins[class]),
            right: confidence.right[class],
            labelled: confidence.count[class],
            accepted: accepted[class],
        };
        self.classes.names().iter().enumerate().map(report).collect()
    }

    fn measure(&self, data: &RoundData, control: &Control) -> Result<Measured> {
        let (student, teacher) = (self.learner.student(), self.learner.teacher()?);
        let inference = Inference::new(*student.architecture(), student.backend().clone(), &teacher)?;
        let evaluation = Evaluation {
            inference: &inference,
            pool: &self.pool,
            input: Input::new(&self.config),
            batch: self.config.batch_scoring,
            control,
        };
        let weak = EvaluatedView::Weak { streams: Streams::new(self.config.seed, self.round), epoch: self.epoch + 1 };
        let source = data.source.as_ref();
        let labelled = evaluation.predict(source, &data.labelled, weak)?;
        let held_out = evaluation.predict(source, &data.validation, EvaluatedView::Plain)?;
        let classes = self.classes.len();
        let confidence = ClassConfidence::measure(&labelled.probabilities, &labelled.labels, classes);
        let validation = Metrics::of(&held_out.probabilities, &held_out.labels, classes);
        let logits: Vec<Vec<f64>> = held_out.probabilities.iter().map(|row| logits_of(row)).collect();
        let calibration = Calibration::fit(&logits, &held_out.labels, classes);
        let unseen = [labelled.undecodable, held_out.undecodable].concat();
        Ok(Measured { confidence, validation, calibration, unseen })
    }
}

/// What the teacher says after an epoch.
struct Measured {
    /// Of S (Eq. 1).
    confidence: ClassConfidence,
    /// Of the validation faces.
    validation: Option<Metrics>,
    calibration: Option<Calibration>,
    /// Faces that could not be decoded.
    unseen: Vec<String>,
}

fn restore_method(method: &mut dyn Method, state: &TrainingState, directory: &Path) -> Result<()> {
    method.restore(&state.method).map_err(|problem| {
        Error::file(directory.join(checkpoint::STATE_FILE), format!("state of method `{}`: {problem}", method.name()))
    })
}

/// A checkpoint goes on only in the network it was made for.
fn check_compatible(state: &TrainingState, config: &TrainerConfig, classes: &Classes, path: &Path) -> Result<()> {
    let pairs = [
        ("backbone", state.config.backbone.clone(), config.backbone.clone()),
        ("width", state.config.width.to_string(), config.width.to_string()),
        ("input_channels", state.config.input_channels.to_string(), config.input_channels.to_string()),
        ("feature_scale", state.config.feature_scale.to_string(), config.feature_scale.to_string()),
        ("classes", state.classes.join(","), classes.names().join(",")),
    ];
    match pairs.into_iter().find(|(_, found, wanted)| found != wanted) {
        Some((what, found, wanted)) => Err(Error::Incompatible { path: path.to_owned(), what, found, wanted }),
        None => Ok(()),
    }
}

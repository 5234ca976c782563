//! Student, EMA teacher and Adam: what one step changes.
//!
//! In: a batch and a method. Out: the loss, and moved weights. The order within a step is fixed: forward passes (which
//! move BatchNorm's running statistics), backward, Adam, EMA, then the student's decay.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;

use candle_core::{CpuStorage, InplaceOp1, Layout, Var, bail};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::config::{BatchNormOver, TrainerConfig};
use crate::device::Backend;
use crate::engine::scratch::Lease;
use crate::engine::{adam, device, ema, tape};
use crate::methods::{Loss, Method, StepBatch, value};
use crate::network::{Architecture, Gradients, Student, StudentPass};
use crate::state_dict::{Array, StateDict};
use crate::streams::Streams;
use crate::{Error, Result};

/// Stack of a computing thread: candle's backward pass recurses over the graph.
const STACK_BYTES: usize = 32 << 20;

/// A pool of `threads` threads (0 = all cores).
pub(crate) fn thread_pool(threads: usize, name: &'static str) -> Result<ThreadPool> {
    ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK_BYTES)
        .thread_name(move |number| format!("{name}-{number}"))
        .build()
        .map_err(|error| Error::Threads { threads, problem: error.to_string() })
}

/// Adam's first and second moments of every parameter.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    pub first: StateDict,
    pub second: StateDict,
}

/// What an optimiser step moves besides the student, where it lies.
enum Optimiser {
    Engine {
        teacher: StateDict,
        moments: Moments,
    },
    /// The teacher's running statistics are on the processor, as the student's.
    Device {
        optimiser: device::optimiser::Optimiser,
        teacher_buffers: StateDict,
    },
}

/// What learns.
pub struct Learner {
    student: Student,
    optimiser: Optimiser,
    /// Optimiser steps since the corpus's first round.
    steps: u64,
    settings: Settings,
    _buffers: Lease,
}

/// What a step needs of the configuration.
#[derive(Clone, Copy, Debug)]
struct Settings {
    learning_rate: f64,
    ema_decay: f64,
    ema_warmup: bool,
    student_factor: f64,
    decay_buffers: bool,
    dropout: f64,
    batch_norm: BatchNormOver,
}

/// A learner's weights and counters, as a checkpoint keeps them.
#[derive(Clone, Debug, PartialEq)]
pub struct LearnerState {
    pub student: StateDict,
    pub teacher: StateDict,
    pub moments: Moments,
    pub steps: u64,
    pub batches: u64,
}

impl LearnerState {
    /// The start: student and teacher are the same, Adam knows nothing.
    pub fn fresh(weights: StateDict) -> Self {
        let zeros: StateDict = weights
            .iter()
            .filter(|(name, _)| !name.contains(".running_"))
            .map(|(name, array)| {
                (name.clone(), Array { shape: array.shape.clone(), values: vec![0.0; array.values.len()] })
            })
            .collect();
        let moments = Moments { first: zeros.clone(), second: zeros };
        Self { student: weights.clone(), teacher: weights, moments, steps: 0, batches: 0 }
    }

    /// The same for a network of other tensors: those that only `initial` has start fresh, those that it lacks go.
    pub fn refit(mut self, initial: StateDict) -> Self {
        let fresh = Self::fresh(initial);
        let refit = |state: &mut StateDict, fresh: StateDict| {
            state.retain(|name, array| fresh.get(name).is_some_and(|fresh| fresh.shape == array.shape));
            fresh.into_iter().for_each(|(name, array)| {
                state.entry(name).or_insert(array);
            });
        };
        refit(&mut self.student, fresh.student);
        refit(&mut self.teacher, fresh.teacher);
        refit(&mut self.moments.first, fresh.moments.first);
        refit(&mut self.moments.second, fresh.moments.second);
        self
    }
}

impl Learner {
    /// From weights that pass [`Architecture::check`], on the device that the configuration names.
    pub fn new(config: &TrainerConfig, architecture: Architecture, state: LearnerState) -> Result<Self> {
        Self::on(Backend::open(&config.device)?, config, architecture, state)
    }

    /// The same on `backend`, whatever the configuration names.
    pub fn on(
        backend: Backend,
        config: &TrainerConfig,
        architecture: Architecture,
        state: LearnerState,
    ) -> Result<Self> {
        let settings = Settings {
            learning_rate: config.learning_rate,
            ema_decay: config.ema_decay,
            ema_warmup: config.ema_warmup,
            student_factor: 1.0 - config.student_decay * config.learning_rate,
            decay_buffers: config.decay_buffers,
            dropout: config.dropout,
            batch_norm: config.batch_norm,
        };
        let student = Student::new(architecture, backend, &state.student, state.batches)?;
        let LearnerState { teacher, moments, steps, .. } = state;
        let optimiser = match student.backend() {
            Backend::Engine => Optimiser::Engine { teacher, moments },
            Backend::Candle(device) => {
                let states = [&moments.first, &moments.second, &teacher];
                let optimiser = device::optimiser::Optimiser::new(student.parameters(), states, device)?;
                let buffers = student.buffers().keys();
                let teacher_buffers = buffers.filter_map(|name| Some((name.clone(), teacher.get(name)?.clone())));
                Optimiser::Device { optimiser, teacher_buffers: teacher_buffers.collect() }
            }
        };
        Ok(Self { student, optimiser, steps, settings, _buffers: Lease::default() })
    }

    /// The student.
    pub fn student(&self) -> &Student {
        &self.student
    }

    /// The teacher's weights, brought to the processor where they are not there.
    pub fn teacher(&self) -> Result<Cow<'_, StateDict>> {
        match &self.optimiser {
            Optimiser::Engine { teacher, .. } => Ok(Cow::Borrowed(teacher)),
            Optimiser::Device { optimiser, teacher_buffers } => {
                let mut teacher = optimiser.teacher()?;
                teacher.extend(teacher_buffers.clone());
                Ok(Cow::Owned(teacher))
            }
        }
    }

    fn moments(&self) -> Result<Moments> {
        match &self.optimiser {
            Optimiser::Engine { moments, .. } => Ok(moments.clone()),
            Optimiser::Device { optimiser, .. } => {
                let [first, second] = optimiser.moments()?;
                Ok(Moments { first, second })
            }
        }
    }

    /// Whether the parameters are known to be finite without looking at each; `None` where they have to be.
    pub(crate) fn is_finite_on_device(&self) -> Result<Option<bool>> {
        match &self.optimiser {
            Optimiser::Engine { .. } => Ok(None),
            Optimiser::Device { optimiser, .. } => Ok(Some(optimiser.is_finite()?)),
        }
    }

    /// Optimiser steps since the corpus's first round.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Everything that a checkpoint keeps.
    pub fn state(&self) -> Result<LearnerState> {
        Ok(LearnerState {
            student: self.student.state()?,
            teacher: self.teacher()?.into_owned(),
            moments: self.moments()?,
            steps: self.steps,
            batches: self.student.batches(),
        })
    }

    /// One whole step. `epoch` and `step` (both from 1) name the random streams.
    pub fn step(
        &mut self,
        method: &mut dyn Method,
        batch: &StepBatch,
        streams: Streams,
        epoch: u32,
        step: u32,
    ) -> Result<Loss> {
        let loss = self.loss(method, batch, streams, epoch, step)?;
        let total = value(&loss.total)?;
        if !total.is_finite() {
            return Err(Error::Diverged { epoch, step, loss: total });
        }
        let gradients = self.gradients(&loss)?;
        self.update(&gradients)?;
        Ok(loss)
    }

    /// The first half of a step: forward passes and loss.
    pub fn loss(
        &mut self,
        method: &mut dyn Method,
        batch: &StepBatch,
        streams: Streams,
        epoch: u32,
        step: u32,
    ) -> Result<Loss> {
        let Settings { dropout, batch_norm, .. } = self.settings;
        self.student.forget_passes();
        let student = &mut self.student;
        let mut pass = StudentPass { student, dropout, batch_norm, streams, epoch, step, calls: 0 };
        let outputs = method.forward(&mut pass, batch)?;
        method.loss(&outputs, batch)
    }

    /// The way back: gradients of the loss last computed.
    pub fn gradients(&mut self, loss: &Loss) -> Result<Gradients> {
        self.student.gradients(&loss.total)
    }

    /// The second half: Adam, EMA, decay. A parameter without a gradient is not moved by Adam.
    pub fn update(&mut self, gradients: &Gradients) -> Result<()> {
        self.steps += 1;
        let settings = self.settings;
        let update = adam::Update {
            learning_rate: settings.learning_rate,
            step: self.steps,
            ema_decay: ema::decay(settings.ema_decay, settings.ema_warmup, self.steps),
            student_factor: settings.student_factor,
        };
        match (&mut self.optimiser, gradients) {
            (Optimiser::Engine { teacher, moments }, Gradients::Engine(gradients)) => {
                update_parameters(&self.student, gradients, teacher, moments, &update)?;
            }
            (Optimiser::Device { optimiser, .. }, Gradients::Device(gradients)) => {
                optimiser.update(gradients, &update)?;
            }
            _ => return Err(candle_core::Error::Msg("gradients and parameters lie apart".to_owned()).into()),
        }
        let factor = if settings.decay_buffers { settings.student_factor } else { 1.0 };
        let (Optimiser::Engine { teacher, .. } | Optimiser::Device { teacher_buffers: teacher, .. }) =
            &mut self.optimiser;
        for (name, buffer) in self.student.buffers_mut() {
            if let Some(teacher) = teacher.get_mut(name) {
                ema::update(&mut buffer.values, &mut teacher.values, update.ema_decay, factor);
            }
        }
        Ok(())
    }
}

/// Adam, EMA and decay of every parameter, in place.
fn update_parameters(
    student: &Student,
    gradients: &tape::Gradients,
    teacher: &mut StateDict,
    moments: &mut Moments,
    update: &adam::Update,
) -> Result<()> {
    for (name, parameter) in student.parameters() {
        let (Some(first), Some(second), Some(teacher)) =
            (moments.first.get_mut(name), moments.second.get_mut(name), teacher.get_mut(name))
        else {
            return Err(candle_core::Error::Msg(format!("no optimiser state for `{name}`")).into());
        };
        let arrays = RefCell::new([first.values.as_mut_slice(), &mut second.values, &mut teacher.values]);
        parameter.inplace_op1(&Step { gradient: gradients.of(parameter), arrays, update })?;
    }
    Ok(())
}

/// The update of one parameter, in place in candle's storage.
struct Step<'a> {
    gradient: Option<&'a [f32]>,
    /// First moment, second moment, teacher.
    arrays: RefCell<[&'a mut [f32]; 3]>,
    update: &'a adam::Update,
}

impl InplaceOp1 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> candle_core::Result<()> {
        let (CpuStorage::F32(numbers), Some((start, end))) = (storage, layout.contiguous_offsets()) else {
            bail!("a parameter is not contiguous in single precision");
        };
        let parameter = &mut numbers[start..end];
        let mut arrays = self.arrays.borrow_mut();
        let [first, second, teacher] = &mut *arrays;
        let gradient_length = self.gradient.map_or(parameter.len(), <[f32]>::len);
        if [first.len(), second.len(), teacher.len(), gradient_length] != [parameter.len(); 4] {
            bail!("optimiser state and parameter differ in length");
        }
        match self.gradient {
            Some(gradient) => adam::update(parameter, gradient, first, second, teacher, self.update),
            None => ema::update(parameter, teacher, self.update.ema_decay, self.update.student_factor),
        }
        Ok(())
    }
}

/// Norms of all gradients by parameter name; 0 for a parameter that none reached. For checks and diagnostics.
pub fn gradient_norms(student: &Student, gradients: &Gradients) -> Result<BTreeMap<String, f64>> {
    let norm = |parameter: &Var| -> Result<f64> {
        let values = gradients.of(parameter)?.unwrap_or_default();
        Ok(values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt())
    };
    student.parameters().iter().map(|(name, parameter)| Ok((name.clone(), norm(parameter)?))).collect()
}

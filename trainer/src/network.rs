//! The student: a backbone and a linear head whose parameters take gradients, in train mode.
//!
//! In: views of one step, (N, channels, S, S) each. Out: unit-norm features (N, D) and logits (N, C) per view. All
//! views go through in one batch, and BatchNorm treats each as a batch of its own ([`crate::engine::batch_norm`]).

mod body;
mod pass;

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};

pub use self::body::Gradients;
use self::body::{BodyPass, Seen, parameter};
pub use self::pass::Pass;
pub(crate) use self::pass::StudentPass;
use crate::backbones::{self, Backbone, Role, TensorSpec};
use crate::config::{BatchNormOver, TrainerConfig};
use crate::device::Backend;
use crate::engine::batch_norm::Statistics;
use crate::engine::{dropout::dropout, linear::linear, normalise::normalise};
use crate::state_dict::{Array, StateDict};
use crate::streams::{Purpose, Stream, Streams};
use crate::{Error, Result, methods};

/// Weight and bias of the auxiliary head.
pub(crate) const AUXILIARY: [&str; 2] = ["auxiliary.weight", "auxiliary.bias"];

/// The shape of a network: everything that must agree before weights fit.
#[derive(Clone, Copy)]
pub struct Architecture {
    pub backbone: &'static dyn Backbone,
    /// Factor on the number of channels.
    pub width: f64,
    /// Channels of its images: 3, or 1 for grey.
    pub input_channels: usize,
    /// Rows of the head.
    pub classes: usize,
    /// Factor on the unit-norm feature before the head.
    pub feature_scale: f64,
    /// Rows of a second head that a method trains for itself; 0 = none. It is no part of a teacher's file.
    pub auxiliary: usize,
}

impl Architecture {
    /// The network that a configuration and its method ask for.
    pub fn new(config: &TrainerConfig, classes: usize) -> Result<Self> {
        let backbone = backbones::named(&config.backbone)?;
        Ok(Self {
            backbone,
            width: config.width,
            input_channels: config.input_channels,
            classes,
            feature_scale: config.feature_scale,
            auxiliary: methods::build(config, classes)?.auxiliary(),
        })
    }

    /// The same without the auxiliary head: what a teacher's file and torchvision's have.
    pub fn without_auxiliary(self) -> Self {
        Self { auxiliary: 0, ..self }
    }

    /// Length of a feature row.
    pub fn feature_size(&self) -> usize {
        self.backbone.feature_size(self.width)
    }

    /// Every tensor in torchvision's order, then the head, then the auxiliary one.
    pub fn tensors(&self) -> Vec<TensorSpec> {
        let inputs = self.feature_size();
        let role = Role::Linear { inputs };
        let mut tensors = self.backbone.tensors(self.width, self.input_channels);
        tensors.push(TensorSpec { name: "fc.weight".to_owned(), shape: vec![self.classes, inputs], role });
        tensors.push(TensorSpec { name: "fc.bias".to_owned(), shape: vec![self.classes], role });
        if self.auxiliary > 0 {
            let [weight, bias] = AUXILIARY.map(str::to_owned);
            tensors.push(TensorSpec { name: weight, shape: vec![self.auxiliary, inputs], role });
            tensors.push(TensorSpec { name: bias, shape: vec![self.auxiliary], role });
        }
        tensors
    }

    /// Fresh weights, as torchvision initialises them.
    pub fn initial(&self, streams: &Streams) -> StateDict {
        let start = |(index, spec): (usize, TensorSpec)| {
            let mut stream = streams.stream(0, 0, Purpose::Initialisation, index as u64);
            let values = initial_values(&spec, &mut stream);
            (spec.name, Array { shape: spec.shape, values })
        };
        self.tensors().into_iter().enumerate().map(start).collect()
    }

    /// Checks that `state` has every tensor in its shape and finite; the error is the problem in words.
    pub fn check(&self, state: &StateDict) -> std::result::Result<(), String> {
        for spec in self.tensors() {
            let array = state.get(&spec.name).ok_or_else(|| format!("tensor `{}` is missing", spec.name))?;
            if array.shape != spec.shape {
                return Err(format!("tensor `{}` has shape {:?}, expected {:?}", spec.name, array.shape, spec.shape));
            }
            if array.values.iter().any(|value| !value.is_finite()) {
                return Err(format!("tensor `{}` holds values that are not numbers", spec.name));
            }
        }
        Ok(())
    }
}

fn initial_values(spec: &TensorSpec, stream: &mut Stream) -> Vec<f32> {
    let count: usize = spec.shape.iter().product();
    match spec.role {
        Role::Convolution => {
            let fan_out = spec.shape[0] * spec.shape[2] * spec.shape[3];
            let deviation = (2.0 / fan_out as f64).sqrt();
            (0..count).map(|_| (stream.normal() * deviation) as f32).collect()
        }
        Role::Linear { inputs } => {
            let bound = 1.0 / (inputs as f64).sqrt();
            (0..count).map(|_| stream.uniform(-bound, bound) as f32).collect()
        }
        Role::Scale | Role::RunningVariance => vec![1.0; count],
        Role::Shift | Role::RunningMean => vec![0.0; count],
    }
}

/// What the network says about one view of n faces.
#[derive(Clone, Debug)]
pub struct Outputs {
    /// Unit-norm features (n, D), before the scale.
    pub features: Tensor,
    /// (n, C).
    pub logits: Tensor,
}

/// Parameters that take gradients, where they are computed with, and BatchNorm's running statistics, on the processor:
/// what a pass saw comes there in any case, so that one piece of code moves them.
pub struct Student {
    architecture: Architecture,
    backend: Backend,
    parameters: BTreeMap<String, Var>,
    buffers: StateDict,
    /// Batches BatchNorm has seen, over all rounds (torchvision's `num_batches_tracked`).
    batches: u64,
    /// The body's passes since the last gradients.
    passes: Vec<BodyPass>,
}

impl Student {
    /// A student with these weights; they must pass [`Architecture::check`].
    pub fn new(architecture: Architecture, backend: Backend, state: &StateDict, batches: u64) -> Result<Self> {
        let (mut parameters, mut buffers) = (BTreeMap::new(), StateDict::new());
        for spec in architecture.tensors() {
            let Some(array) = state.get(&spec.name) else { continue };
            if spec.role.is_trained() {
                parameters.insert(spec.name, Var::from_tensor(&array.tensor()?.to_device(backend.device())?)?);
            } else {
                buffers.insert(spec.name, array.clone());
            }
        }
        Ok(Self { architecture, backend, parameters, buffers, batches, passes: Vec::new() })
    }

    /// The network's shape.
    pub fn architecture(&self) -> &Architecture {
        &self.architecture
    }

    /// What computes it.
    pub fn backend(&self) -> &Backend {
        &self.backend
    }

    /// Trained parameters by name.
    pub fn parameters(&self) -> &BTreeMap<String, Var> {
        &self.parameters
    }

    /// BatchNorm's running statistics by name.
    pub fn buffers(&self) -> &StateDict {
        &self.buffers
    }

    pub(crate) fn buffers_mut(&mut self) -> &mut StateDict {
        &mut self.buffers
    }

    /// Batches that BatchNorm has seen.
    pub fn batches(&self) -> u64 {
        self.batches
    }

    /// All weights as arrays.
    pub fn state(&self) -> Result<StateDict> {
        let mut state = self.buffers.clone();
        for (name, parameter) in &self.parameters {
            let values = parameter.flatten_all()?.to_vec1()?;
            state.insert(name.clone(), Array { shape: parameter.dims().to_vec(), values });
        }
        Ok(state)
    }

    /// One pass in train mode over `views`; running statistics move once per group of BatchNorm, in order.
    fn forward(
        &mut self,
        views: &[&Tensor],
        over: BatchNormOver,
        rate: f64,
        stream: &mut Stream,
    ) -> Result<Vec<Outputs>> {
        let (pass, seen, outputs) = self.run(views, over, rate, stream)?;
        self.passes.push(pass);
        for (name, statistics) in seen {
            self.move_running(&name, &statistics);
        }
        self.batches += match over {
            BatchNormOver::View => views.len() as u64,
            BatchNormOver::Batch => 1,
        };
        Ok(outputs)
    }

    /// The same with running statistics left as they are.
    fn forward_aside(
        &mut self,
        views: &[&Tensor],
        over: BatchNormOver,
        rate: f64,
        stream: &mut Stream,
    ) -> Result<Vec<Outputs>> {
        let (pass, _, outputs) = self.run(views, over, rate, stream)?;
        self.passes.push(pass);
        Ok(outputs)
    }

    /// The same without a way back.
    fn predict(&self, views: &[&Tensor], over: BatchNormOver, rate: f64, stream: &mut Stream) -> Result<Vec<Outputs>> {
        let (_, _, outputs) = self.run(views, over, rate, stream)?;
        let detached = |output: Outputs| Outputs { features: output.features.detach(), logits: output.logits.detach() };
        Ok(outputs.into_iter().map(detached).collect())
    }

    fn run(
        &self,
        views: &[&Tensor],
        over: BatchNormOver,
        rate: f64,
        stream: &mut Stream,
    ) -> Result<(BodyPass, Seen, Vec<Outputs>)> {
        let (pass, seen) = BodyPass::run(self.architecture.backbone, &self.parameters, views, over, &self.backend)?;
        let features = normalise(&dropout(pass.variable(), rate, stream)?)?;
        let logits = self.head(&features, ["fc.weight", "fc.bias"])?;
        // Methods find them on the processor; their gradient goes back to where they came from.
        let (features, logits) = (features.to_device(&Device::Cpu)?, logits.to_device(&Device::Cpu)?);
        let mut start = 0;
        let mut outputs = Vec::with_capacity(views.len());
        for view in views {
            let count = view.dim(0)?;
            let (features, logits) = (features.narrow(0, start, count)?, logits.narrow(0, start, count)?);
            outputs.push(Outputs { features, logits });
            start += count;
        }
        Ok((pass, seen, outputs))
    }

    /// Logits of the auxiliary head for features (n, D) from the processor.
    fn auxiliary(&self, features: &Tensor) -> Result<Tensor> {
        Ok(self.head(&features.to_device(self.backend.device())?, AUXILIARY)?.to_device(&Device::Cpu)?)
    }

    /// A linear head on scaled features, where both lie.
    fn head(&self, features: &Tensor, [weight, bias]: [&str; 2]) -> candle_core::Result<Tensor> {
        let scaled = (features * self.architecture.feature_scale)?;
        linear(&scaled, self.parameter(weight)?, self.parameter(bias)?)
    }

    /// Forgets passes whose gradients nobody asked for.
    pub(crate) fn forget_passes(&mut self) {
        self.passes.clear();
    }

    /// Gradients of `loss` with respect to every parameter it reaches: candle's down to the features of the passes
    /// since the last call, then each pass's own.
    pub(crate) fn gradients(&mut self, loss: &Tensor) -> Result<Gradients> {
        let store = loss.backward()?;
        let mut gradients = Gradients::none(&self.backend);
        self.passes.drain(..).try_for_each(|pass| pass.backward(&store, &mut gradients))?;
        for parameter in self.parameters.values() {
            if let Some(gradient) = store.get(parameter) {
                gradients.add_of(parameter, gradient)?;
            }
        }
        Ok(gradients)
    }

    fn parameter(&self, name: &str) -> candle_core::Result<&Tensor> {
        parameter(&self.parameters, name)
    }

    fn move_running(&mut self, name: &str, statistics: &Statistics) {
        let (mean_name, variance_name) = (format!("{name}.running_mean"), format!("{name}.running_var"));
        let Some(mut mean) = self.buffers.remove(&mean_name) else { return };
        if let Some(variance) = self.buffers.get_mut(&variance_name) {
            statistics.move_running(&mut mean.values, &mut variance.values);
        }
        self.buffers.insert(mean_name, mean);
    }
}

/// Turns a problem of a weights file into an error.
pub(crate) fn check_file(architecture: &Architecture, state: &StateDict, path: &std::path::Path) -> Result<()> {
    architecture.check(state).map_err(|problem| Error::file(path, problem))
}

//! One pass through the body in train mode, by the engine or on a device, and the way back through it.
//!
//! candle's graph begins at the features, a variable there; the body's own tape ends at them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};

use crate::Result;
use crate::backbones::{Backbone, ConvolutionLayer, Layers};
use crate::config::BatchNormOver;
use crate::device::Backend;
use crate::engine::average_pool::global_average_pool;
use crate::engine::batch_norm::{Layer, Statistics, batch_norm};
use crate::engine::convolution::convolution;
use crate::engine::device::{self, batch_norm as device_batch_norm, pool};
use crate::engine::maps::Activations;
use crate::engine::max_pool::max_pool;
use crate::engine::scratch::Scratch;
use crate::engine::storage::with_numbers;
use crate::engine::tape::{self, Node, Tape};

/// Parameters by name.
pub(super) type Parameters = BTreeMap<String, Var>;

/// A pass that waits for its gradient.
pub(super) enum BodyPass {
    Engine { tape: Tape, features: Node, variable: Var },
    Device { tape: device::tape::Tape, features: device::tape::Node, variable: Var },
}

/// What every BatchNorm saw, by name.
pub(super) type Seen = Vec<(String, Statistics)>;

impl BodyPass {
    /// Sends views, (n, C, S, S) each, through `backbone` as one batch; BatchNorm treats each as a batch of its own, or
    /// all of them as one.
    pub fn run(
        backbone: &dyn Backbone,
        parameters: &Parameters,
        views: &[&Tensor],
        over: BatchNormOver,
        backend: &Backend,
    ) -> Result<(Self, Seen)> {
        let mut groups = views.iter().map(|view| view.dim(0)).collect::<candle_core::Result<Vec<_>>>()?;
        if over == BatchNormOver::Batch {
            groups = vec![groups.iter().sum()];
        }
        match backend {
            Backend::Engine => Self::by_engine(backbone, parameters, views, &groups),
            Backend::Candle(device) => Self::on_device(backbone, parameters, views, &groups, device),
        }
    }

    fn by_engine(
        backbone: &dyn Backbone,
        parameters: &Parameters,
        views: &[&Tensor],
        groups: &[usize],
    ) -> Result<(Self, Seen)> {
        let images = Node::constant(Activations::from_views(views)?);
        let mut layers = EngineLayers { parameters, groups, tape: Tape::default(), seen: Vec::new() };
        let features = backbone.features(&mut layers, &images)?;
        let EngineLayers { tape, seen, .. } = layers;
        let variable = Var::from_tensor(&features.value().rows()?)?;
        Ok((Self::Engine { tape, features, variable }, seen))
    }

    fn on_device(
        backbone: &dyn Backbone,
        parameters: &Parameters,
        views: &[&Tensor],
        groups: &[usize],
        device: &Device,
    ) -> Result<(Self, Seen)> {
        let images = device::tape::Node::constant(Tensor::cat(views, 0)?.to_device(device)?);
        let groups = device_batch_norm::Groups::new(groups, device)?;
        let mut layers = DeviceLayers { parameters, groups, tape: Default::default(), names: vec![], seen: vec![] };
        let features = backbone.features_on_device(&mut layers, &images)?;
        let DeviceLayers { tape, names, seen, .. } = layers;
        let seen = names.into_iter().zip(device_batch_norm::Seen::read(&seen)?).collect();
        let variable = Var::from_tensor(features.value())?;
        Ok((Self::Device { tape, features, variable }, seen))
    }

    /// The features (N, D), where candle's graph begins.
    pub fn variable(&self) -> &Var {
        match self {
            Self::Engine { variable, .. } | Self::Device { variable, .. } => variable,
        }
    }

    /// Adds the gradients of the body's parameters, from those that `store` has of its features.
    pub fn backward(self, store: &GradStore, gradients: &mut Gradients) -> Result<()> {
        let Some(dy) = store.get(self.variable()) else { return Ok(()) };
        match (self, gradients) {
            (Self::Engine { tape, features, .. }, Gradients::Engine(gradients)) => {
                let dy = with_numbers(dy, |dy| Ok(Scratch::of(dy)))?;
                gradients.add_parameters(tape.backward(features, dy)?);
            }
            (Self::Device { tape, features, .. }, Gradients::Device(gradients)) => {
                gradients.add_parameters(tape.backward(&features, dy)?)?;
            }
            _ => return Err(candle_core::Error::Msg("a pass and its gradients lie apart".to_owned()).into()),
        }
        Ok(())
    }
}

/// Gradients of a loss by parameter, where the parameters lie.
pub enum Gradients {
    Engine(tape::Gradients),
    Device(device::tape::Gradients),
}

impl Gradients {
    pub(super) fn none(backend: &Backend) -> Self {
        match backend {
            Backend::Engine => Self::Engine(Default::default()),
            Backend::Candle(_) => Self::Device(Default::default()),
        }
    }

    /// The numbers of a parameter's gradient; `None` where no part of the loss reached it.
    pub fn of(&self, parameter: &Tensor) -> Result<Option<Cow<'_, [f32]>>> {
        match self {
            Self::Engine(gradients) => Ok(gradients.of(parameter).map(Cow::Borrowed)),
            Self::Device(gradients) => match gradients.of(parameter) {
                Some(gradient) => Ok(Some(Cow::Owned(gradient.flatten_all()?.to_vec1()?))),
                None => Ok(None),
            },
        }
    }

    /// Adds what candle's graph says of a parameter.
    pub(super) fn add_of(&mut self, parameter: &Tensor, gradient: &Tensor) -> Result<()> {
        match self {
            Self::Engine(gradients) => {
                gradients.add_of(parameter, with_numbers(gradient, |gradient| Ok(Scratch::of(gradient)))?);
            }
            Self::Device(gradients) => gradients.add_of(parameter.id(), gradient.detach())?,
        }
        Ok(())
    }
}

pub(super) fn parameter<'a>(parameters: &'a Parameters, name: &str) -> candle_core::Result<&'a Tensor> {
    match parameters.get(name) {
        Some(parameter) => Ok(parameter.as_tensor()),
        None => candle_core::bail!("the network has no parameter `{name}`"),
    }
}

/// A layer's weight, and its BatchNorm's weight and bias.
fn parameters_of<'a, Maps>(
    parameters: &'a Parameters,
    layer: &ConvolutionLayer<Maps>,
) -> candle_core::Result<[&'a Tensor; 3]> {
    Ok([
        parameter(parameters, &format!("{}.weight", layer.convolution))?,
        parameter(parameters, &format!("{}.weight", layer.batch_norm))?,
        parameter(parameters, &format!("{}.bias", layer.batch_norm))?,
    ])
}

/// Layers that keep gradients, with BatchNorm by groups.
struct EngineLayers<'a> {
    parameters: &'a Parameters,
    groups: &'a [usize],
    tape: Tape,
    /// What each BatchNorm saw; applied after the pass, when nothing borrows the student.
    seen: Seen,
}

impl Layers for EngineLayers<'_> {
    type Maps = Node;

    fn convolution_batch_norm(&mut self, x: &Node, layer: &ConvolutionLayer<Node>) -> candle_core::Result<Node> {
        let [kernel, weight, bias] = parameters_of(self.parameters, layer)?;
        let y = convolution(&mut self.tape, x, kernel, layer.shape.stride, layer.shape.padding)?;
        let normalised = Layer { weight, bias, shortcut: layer.shortcut, relu: layer.relu };
        let (y, statistics) = batch_norm(&mut self.tape, &y, &normalised, self.groups)?;
        self.seen.push((layer.batch_norm.to_owned(), statistics));
        Ok(y)
    }

    fn max_pool(&mut self, x: &Node) -> candle_core::Result<Node> {
        max_pool(&mut self.tape, x)
    }

    fn average_pool(&mut self, x: &Node) -> candle_core::Result<Node> {
        global_average_pool(&mut self.tape, x)
    }
}

/// The same on a device.
struct DeviceLayers<'a> {
    parameters: &'a Parameters,
    groups: device_batch_norm::Groups,
    tape: device::tape::Tape,
    /// Of the BatchNorms, in order.
    names: Vec<String>,
    seen: Vec<device_batch_norm::Seen>,
}

impl Layers for DeviceLayers<'_> {
    type Maps = device::tape::Node;

    fn convolution_batch_norm(
        &mut self,
        x: &Self::Maps,
        layer: &ConvolutionLayer<Self::Maps>,
    ) -> candle_core::Result<Self::Maps> {
        let [kernel, weight, bias] = parameters_of(self.parameters, layer)?;
        let (stride, padding) = (layer.shape.stride, layer.shape.padding);
        let y = device::convolution::convolution(&mut self.tape, x, kernel, stride, padding)?;
        let normalised = device_batch_norm::Layer { weight, bias, shortcut: layer.shortcut, relu: layer.relu };
        let (y, seen) = device_batch_norm::batch_norm(&mut self.tape, &y, &normalised, &self.groups)?;
        self.names.push(layer.batch_norm.to_owned());
        self.seen.push(seen);
        Ok(y)
    }

    fn max_pool(&mut self, x: &Self::Maps) -> candle_core::Result<Self::Maps> {
        pool::max_pool(&mut self.tape, x)
    }

    fn average_pool(&mut self, x: &Self::Maps) -> candle_core::Result<Self::Maps> {
        pool::global_average_pool(&mut self.tape, x)
    }
}

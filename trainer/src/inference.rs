//! The network in eval mode over plain arrays: no gradients, BatchNorm folded into the convolutions.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use crate::Result;
use crate::backbones::{ConvolutionLayer, Layers, Role};
use crate::device::Backend;
use crate::engine::batch_norm::EPSILON;
use crate::engine::device::{pool, tape::Node as DeviceNode};
use crate::engine::maps::Activations;
use crate::engine::scratch::Lease;
use crate::engine::tape::Node;
use crate::engine::{average_pool, convolution::convolution_bias, linear, max_pool, normalise::normalise};
use crate::network::{Architecture, Outputs};
use crate::state_dict::{Array, StateDict};

/// A network ready to answer.
pub struct Inference {
    architecture: Architecture,
    backend: Backend,
    layers: FoldedLayers,
    head: (Tensor, Tensor),
    _buffers: Lease,
}

impl Inference {
    /// From weights that pass [`Architecture::check`], to compute on `backend`.
    pub fn new(architecture: Architecture, backend: Backend, state: &StateDict) -> Result<Self> {
        let place = |[weight, bias]: [Array; 2]| -> Result<(Tensor, Tensor)> {
            let device = backend.device();
            Ok((weight.tensor()?.to_device(device)?, bias.tensor()?.to_device(device)?))
        };
        let mut folded = BTreeMap::new();
        let specs = architecture.backbone.tensors(architecture.width, architecture.input_channels);
        // Every convolution is directly followed by its BatchNorm.
        for pair in specs.windows(2).filter(|pair| pair[0].role == Role::Convolution) {
            let convolution = pair[0].name.trim_end_matches(".weight");
            let batch_norm = pair[1].name.trim_end_matches(".weight");
            folded.insert(convolution.to_owned(), place(fold(state, convolution, batch_norm)?)?);
        }
        let head = place([array(state, "fc.weight")?.clone(), array(state, "fc.bias")?.clone()])?;
        Ok(Self { architecture, backend, layers: FoldedLayers { folded }, head, _buffers: Lease::default() })
    }

    /// Images (N, channels, S, S) → unit-norm features (N, D) and logits (N, C).
    pub fn forward(&self, images: &Tensor) -> Result<Outputs> {
        let features = normalise(&self.features(images)?)?;
        let scaled = (&features * self.architecture.feature_scale)?;
        let head = match &self.backend {
            Backend::Engine => linear::each_row,
            Backend::Candle(_) => linear::linear,
        };
        let logits = head(&scaled, &self.head.0, &self.head.1)?;
        Ok(Outputs { features: features.to_device(&Device::Cpu)?, logits: logits.to_device(&Device::Cpu)? })
    }

    /// The body: (N, channels, S, S) → (N, D), where the weights lie.
    fn features(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        let backbone = self.architecture.backbone;
        match &self.backend {
            Backend::Engine => {
                let images = Node::constant(Activations::from_views(&[images])?);
                backbone.features(&mut &self.layers, &images)?.value().rows()
            }
            Backend::Candle(device) => {
                let images = DeviceNode::constant(images.to_device(device)?);
                let features = backbone.features_on_device(&mut DeviceLayers(&self.layers), &images)?;
                Ok(features.value().clone())
            }
        }
    }
}

struct FoldedLayers {
    /// Weight and bias by the convolution's name.
    folded: BTreeMap<String, (Tensor, Tensor)>,
}

impl FoldedLayers {
    /// Weight and bias of one convolution.
    fn of(&self, convolution: &str) -> candle_core::Result<&(Tensor, Tensor)> {
        match self.folded.get(convolution) {
            Some(folded) => Ok(folded),
            None => candle_core::bail!("the network has no convolution `{convolution}`"),
        }
    }
}

impl Layers for &FoldedLayers {
    type Maps = Node;

    fn convolution_batch_norm(&mut self, x: &Node, layer: &ConvolutionLayer<Node>) -> candle_core::Result<Node> {
        let (weight, bias) = self.of(layer.convolution)?;
        let shape = [layer.shape.stride, layer.shape.padding];
        let shortcut = layer.shortcut.map(Node::value);
        Ok(Node::constant(convolution_bias(x.value(), weight, bias, shape, shortcut, layer.relu)?))
    }

    fn max_pool(&mut self, x: &Node) -> candle_core::Result<Node> {
        Ok(Node::constant(max_pool::forward(x.value())?.0))
    }

    fn average_pool(&mut self, x: &Node) -> candle_core::Result<Node> {
        Ok(Node::constant(average_pool::forward(x.value())?))
    }
}

/// The same on a device.
struct DeviceLayers<'a>(&'a FoldedLayers);

impl Layers for DeviceLayers<'_> {
    type Maps = DeviceNode;

    fn convolution_batch_norm(
        &mut self,
        x: &DeviceNode,
        layer: &ConvolutionLayer<DeviceNode>,
    ) -> candle_core::Result<DeviceNode> {
        let (weight, bias) = self.0.of(layer.convolution)?;
        let sums = x.value().conv2d(weight, layer.shape.padding, layer.shape.stride, 1, 1)?;
        let mut y = sums.broadcast_add(&bias.reshape((1, bias.elem_count(), 1, 1))?)?;
        if let Some(shortcut) = layer.shortcut {
            y = (y + shortcut.value())?;
        }
        Ok(DeviceNode::constant(if layer.relu { y.relu()? } else { y }))
    }

    fn max_pool(&mut self, x: &DeviceNode) -> candle_core::Result<DeviceNode> {
        Ok(DeviceNode::constant(pool::largest(x.value())?))
    }

    fn average_pool(&mut self, x: &DeviceNode) -> candle_core::Result<DeviceNode> {
        Ok(DeviceNode::constant(pool::mean(x.value())?))
    }
}

/// weight · s and bias − mean · s, with s = scale / √(variance + ε).
fn fold(state: &StateDict, convolution: &str, batch_norm: &str) -> Result<[Array; 2]> {
    let part = |part: &str| array(state, &format!("{batch_norm}.{part}"));
    let (scale, shift) = (part("weight")?, part("bias")?);
    let (mean, variance) = (part("running_mean")?, part("running_var")?);
    let mut weight = array(state, &format!("{convolution}.weight"))?.clone();
    let mut bias = shift.clone();
    let per_output = weight.values.len() / scale.values.len().max(1);
    for (output, row) in weight.values.chunks_exact_mut(per_output).enumerate() {
        let factor = scale.values[output] / (variance.values[output] + EPSILON).sqrt();
        row.iter_mut().for_each(|value| *value *= factor);
        bias.values[output] -= mean.values[output] * factor;
    }
    Ok([weight, bias])
}

fn array<'a>(state: &'a StateDict, name: &str) -> Result<&'a Array> {
    state.get(name).ok_or_else(|| candle_core::Error::Msg(format!("the weights have no tensor `{name}`")).into())
}

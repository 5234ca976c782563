//! The network in eval mode over plain arrays: no gradients, BatchNorm folded into the convolutions.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::Result;
use crate::backbones::{ConvolutionLayer, Layers, Role};
use crate::engine::batch_norm::EPSILON;
use crate::engine::maps::Activations;
use crate::engine::scratch::Lease;
use crate::engine::tape::Node;
use crate::engine::{average_pool, convolution::convolution_bias, linear::linear, max_pool, normalise::normalise};
use crate::network::{Architecture, Outputs};
use crate::state_dict::{Array, StateDict};

/// A network ready to answer.
pub struct Inference {
    architecture: Architecture,
    layers: FoldedLayers,
    head: (Tensor, Tensor),
    _buffers: Lease,
}

impl Inference {
    /// From weights that pass [`Architecture::check`].
    pub fn new(architecture: Architecture, state: &StateDict) -> Result<Self> {
        let mut folded = BTreeMap::new();
        let specs = architecture.backbone.tensors(architecture.width, architecture.input_channels);
        // Every convolution is directly followed by its BatchNorm.
        for pair in specs.windows(2).filter(|pair| pair[0].role == Role::Convolution) {
            let convolution = pair[0].name.trim_end_matches(".weight");
            let batch_norm = pair[1].name.trim_end_matches(".weight");
            folded.insert(convolution.to_owned(), fold(state, convolution, batch_norm)?);
        }
        let head = (array(state, "fc.weight")?.tensor()?, array(state, "fc.bias")?.tensor()?);
        Ok(Self { architecture, layers: FoldedLayers { folded }, head, _buffers: Lease::default() })
    }

    /// Images (N, channels, S, S) → unit-norm features (N, D) and logits (N, C).
    pub fn forward(&self, images: &Tensor) -> Result<Outputs> {
        let images = Node::constant(Activations::from_views(&[images])?);
        let features = self.architecture.backbone.features(&mut &self.layers, &images)?;
        let features = normalise(&features.value().rows()?)?;
        let scaled = (&features * self.architecture.feature_scale)?;
        let logits = linear(&scaled, &self.head.0, &self.head.1)?;
        Ok(Outputs { features, logits })
    }
}

struct FoldedLayers {
    /// Weight and bias by the convolution's name.
    folded: BTreeMap<String, (Tensor, Tensor)>,
}

impl Layers for &FoldedLayers {
    fn convolution_batch_norm(&mut self, x: &Node, layer: &ConvolutionLayer) -> candle_core::Result<Node> {
        let Some((weight, bias)) = self.folded.get(layer.convolution) else {
            candle_core::bail!("the network has no convolution `{}`", layer.convolution);
        };
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

/// weight · s and bias − mean · s, with s = scale / √(variance + ε).
fn fold(state: &StateDict, convolution: &str, batch_norm: &str) -> Result<(Tensor, Tensor)> {
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
    Ok((weight.tensor()?, bias.tensor()?))
}

fn array<'a>(state: &'a StateDict, name: &str) -> Result<&'a Array> {
    state.get(name).ok_or_else(|| candle_core::Error::Msg(format!("the weights have no tensor `{name}`")).into())
}

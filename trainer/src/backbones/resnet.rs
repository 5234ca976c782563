//! Residual networks of basic blocks (He et al. 2016), with torchvision's layout and key names.

use candle_core::Result;

use super::{Backbone, ConvolutionLayer, ConvolutionShape, Layers, Role, TensorSpec};
use crate::engine::device::tape::Node as DeviceNode;
use crate::engine::tape::Node;

/// A ResNet by its numbers of blocks per stage and channels of the first stage (doubled in every further one).
pub struct ResNet {
    pub name: &'static str,
    pub blocks: [usize; 4],
    pub channels: usize,
}

const STEM: ConvolutionShape = ConvolutionShape { stride: 2, padding: 3 };

impl ResNet {
    /// Channels of stage 0 to 3 at a width: a multiple of 4, at least 4.
    fn stage_channels(&self, width: f64, stage: usize) -> usize {
        let first = ((self.channels as f64 * width / 4.0).round() as usize * 4).max(4);
        first << stage
    }

    /// The network over either kind of maps.
    fn body<Maps: Clone>(&self, layers: &mut dyn Layers<Maps = Maps>, images: &Maps) -> Result<Maps> {
        let stem =
            ConvolutionLayer { convolution: "conv1", batch_norm: "bn1", shape: STEM, shortcut: None, relu: true };
        let mut x = layers.convolution_batch_norm(images, &stem)?;
        x = layers.max_pool(&x)?;
        // Width plays no part in names and strides; any value lists the same blocks.
        for (name, stride, _, _) in self.all_blocks(1.0) {
            x = basic_block(layers, &name, stride, x)?;
        }
        layers.average_pool(&x)
    }

    /// (name, stride, input channels, output channels) of every block at a width.
    fn all_blocks(&self, width: f64) -> impl Iterator<Item = (String, usize, usize, usize)> {
        self.blocks.into_iter().enumerate().flat_map(move |(stage, blocks)| {
            (0..blocks).map(move |block| {
                let outputs = self.stage_channels(width, stage);
                let opens = stage > 0 && block == 0;
                let inputs = if opens { self.stage_channels(width, stage - 1) } else { outputs };
                (format!("layer{}.{block}", stage + 1), if opens { 2 } else { 1 }, inputs, outputs)
            })
        })
    }
}

impl Backbone for ResNet {
    fn name(&self) -> &'static str {
        self.name
    }

    fn feature_size(&self, width: f64) -> usize {
        self.stage_channels(width, 3)
    }

    fn tensors(&self, width: f64, input_channels: usize) -> Vec<TensorSpec> {
        let mut tensors = Vec::new();
        let first = self.stage_channels(width, 0);
        convolution_tensors(&mut tensors, "conv1", "bn1", [first, input_channels, 7]);
        for (name, stride, inputs, outputs) in self.all_blocks(width) {
            convolution_tensors(&mut tensors, &format!("{name}.conv1"), &format!("{name}.bn1"), [outputs, inputs, 3]);
            convolution_tensors(&mut tensors, &format!("{name}.conv2"), &format!("{name}.bn2"), [outputs, outputs, 3]);
            if stride > 1 {
                let names = [format!("{name}.downsample.0"), format!("{name}.downsample.1")];
                convolution_tensors(&mut tensors, &names[0], &names[1], [outputs, inputs, 1]);
            }
        }
        tensors
    }

    fn features(&self, layers: &mut dyn Layers<Maps = Node>, images: &Node) -> Result<Node> {
        self.body(layers, images)
    }

    fn features_on_device(
        &self,
        layers: &mut dyn Layers<Maps = DeviceNode>,
        images: &DeviceNode,
    ) -> Result<DeviceNode> {
        self.body(layers, images)
    }
}

/// Two 3×3 convolutions around a shortcut, which is a 1×1 convolution where the block halves the maps.
fn basic_block<Maps: Clone>(layers: &mut dyn Layers<Maps = Maps>, name: &str, stride: usize, x: Maps) -> Result<Maps> {
    let mut layer = |part: [&str; 2], x: &Maps, [stride, padding]: [usize; 2], shortcut: Option<&Maps>, relu: bool| {
        let [convolution, batch_norm] = part.map(|part| format!("{name}.{part}"));
        let shape = ConvolutionShape { stride, padding };
        let layer = ConvolutionLayer { convolution: &convolution, batch_norm: &batch_norm, shape, shortcut, relu };
        layers.convolution_batch_norm(x, &layer)
    };
    let y = layer(["conv1", "bn1"], &x, [stride, 1], None, true)?;
    let shortcut = if stride == 1 { x } else { layer(["downsample.0", "downsample.1"], &x, [stride, 0], None, false)? };
    layer(["conv2", "bn2"], &y, [1, 1], Some(&shortcut), true)
}

/// A convolution [outputs, inputs, kernel] and the BatchNorm behind it.
fn convolution_tensors(
    tensors: &mut Vec<TensorSpec>,
    convolution: &str,
    batch_norm: &str,
    [outputs, inputs, kernel]: [usize; 3],
) {
    let mut add = |name: String, shape: Vec<usize>, role| tensors.push(TensorSpec { name, shape, role });
    add(format!("{convolution}.weight"), vec![outputs, inputs, kernel, kernel], Role::Convolution);
    add(format!("{batch_norm}.weight"), vec![outputs], Role::Scale);
    add(format!("{batch_norm}.bias"), vec![outputs], Role::Shift);
    add(format!("{batch_norm}.running_mean"), vec![outputs], Role::RunningMean);
    add(format!("{batch_norm}.running_var"), vec![outputs], Role::RunningVariance);
}

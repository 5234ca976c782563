//! The registry of backbones: from images to one feature row per image. A new backbone is one file and one line here.

mod resnet;

use candle_core::Result;

use crate::Error;
use crate::engine::device::tape::Node as DeviceNode;
use crate::engine::tape::Node;

/// A tensor that a backbone or head owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorSpec {
    /// torchvision's name.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

/// What a tensor is for, and so how it starts and whether it is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Convolution weight: normal, variance 2 / (O·k·k) (He, fan out).
    Convolution,
    /// BatchNorm weight: 1.
    Scale,
    /// BatchNorm bias: 0.
    Shift,
    /// Linear weight or bias: uniform within ±1/√inputs.
    Linear {
        /// Inputs of the layer.
        inputs: usize,
    },
    /// BatchNorm's running mean: 0, not trained.
    RunningMean,
    /// BatchNorm's running variance: 1, not trained.
    RunningVariance,
}

impl Role {
    /// Whether the optimiser moves it.
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::RunningMean | Role::RunningVariance)
    }
}

/// The operations that a backbone is written in, over the `Maps` of the engine or of a device. Training and inference
/// implement them differently: one keeps gradients and batch statistics, the other has BatchNorm folded into the
/// convolutions.
pub trait Layers {
    /// A batch of maps on its way through the network.
    type Maps: Clone;

    /// Convolution and BatchNorm, and what follows them.
    fn convolution_batch_norm(&mut self, x: &Self::Maps, layer: &ConvolutionLayer<Self::Maps>) -> Result<Self::Maps>;
    /// Max-pool 3×3, stride 2.
    fn max_pool(&mut self, x: &Self::Maps) -> Result<Self::Maps>;
    /// From maps to one row per image.
    fn average_pool(&mut self, x: &Self::Maps) -> Result<Self::Maps>;
}

/// A convolution, the BatchNorm behind it, and what is done to their result.
pub struct ConvolutionLayer<'a, Maps> {
    /// Name without `.weight`.
    pub convolution: &'a str,
    /// Name without `.weight`.
    pub batch_norm: &'a str,
    pub shape: ConvolutionShape,
    /// Added to the result.
    pub shortcut: Option<&'a Maps>,
    /// Whether negative values are then cut.
    pub relu: bool,
}

/// Stride, padding of one convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvolutionShape {
    pub stride: usize,
    pub padding: usize,
}

/// A network body.
pub trait Backbone: Send + Sync {
    /// Name in the configuration.
    fn name(&self) -> &'static str;
    /// Length of a feature row at this width.
    fn feature_size(&self, width: f64) -> usize;
    /// Every tensor at this width over so many input channels, in torchvision's order, without the head.
    fn tensors(&self, width: f64, input_channels: usize) -> Vec<TensorSpec>;
    /// Images (N, H, W, input channels) → features (N, 1, 1, `feature_size`), by the engine.
    fn features(&self, layers: &mut dyn Layers<Maps = Node>, images: &Node) -> Result<Node>;
    /// Images (N, input channels, H, W) → features (N, `feature_size`), on a device: the same network.
    fn features_on_device(&self, layers: &mut dyn Layers<Maps = DeviceNode>, images: &DeviceNode)
    -> Result<DeviceNode>;
}

macro_rules! registry {
    ($($module:ident),* $(,)?) => {
        $(mod $module;)*
        /// Every backbone.
        pub fn all() -> &'static [&'static dyn Backbone] {
            &[$(&$module::BACKBONE),*]
        }
    };
}

registry![resnet18, resnet34, resnet_tiny];

/// The backbone of that name.
pub fn named(name: &str) -> crate::Result<&'static dyn Backbone> {
    all().iter().copied().find(|backbone| backbone.name() == name).ok_or_else(|| Error::UnknownBackbone {
        name: name.to_owned(),
        known: all().iter().map(|backbone| backbone.name()).collect::<Vec<_>>().join(", "),
    })
}

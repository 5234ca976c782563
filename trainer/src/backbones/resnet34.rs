//! ResNet-34: twice the depth.

use super::resnet::ResNet;

pub const BACKBONE: ResNet = ResNet { name: "resnet34", blocks: [3, 4, 6, 3], channels: 64 };

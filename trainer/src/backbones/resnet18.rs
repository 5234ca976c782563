//! ResNet-18: the backbone of Ada-CM and of most published FER results.

use super::resnet::ResNet;

pub const BACKBONE: ResNet = ResNet { name: "resnet18", blocks: [2, 2, 2, 2], channels: 64 };

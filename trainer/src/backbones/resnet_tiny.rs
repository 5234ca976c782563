//! A ResNet of about 0.3 million parameters, for demonstrations, tests and machines with few cores.

use super::resnet::ResNet;

pub const BACKBONE: ResNet = ResNet { name: "resnet-tiny", blocks: [1, 1, 1, 1], channels: 16 };

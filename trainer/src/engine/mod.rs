//! The operators a network is made of, one per file: plain kernels over slices, and the candle operation around them.
//!
//! Activations are channel-major, (C, N, H, W): a convolution is one matrix product over the whole batch, and
//! BatchNorm runs over contiguous rows. Kernels write disjoint outputs and sum in a fixed order, so results repeat
//! bit by bit on one machine with one number of threads.

pub mod adam;
pub mod add_relu;
pub mod average_pool;
pub mod batch_norm;
pub mod convolution;
pub mod cross_entropy;
pub mod dropout;
pub mod ema;
pub mod info_nce;
mod lanes;
pub mod linear;
pub mod max_pool;
pub mod normalise;
mod storage;

//! The operators a network is made of, one per file. Those of its body are plain kernels over slices and write what
//! they did on a [`tape`], which goes back through them; those of the head and the losses are made of candle's, and
//! their gradients are candle's.
//!
//! Activations have their channels last, (N, H, W, C): whatever the size of the maps, every kernel runs over contiguous
//! channels, which is what vector instructions want. Those are chosen at run time (`simd`). Kernels write disjoint
//! outputs and sum in a fixed order, so results repeat bit by bit on one machine.

pub mod adam;
pub mod average_pool;
pub mod batch_norm;
pub mod convolution;
pub mod cross_entropy;
pub mod device;
pub mod dropout;
pub mod ema;
pub mod info_nce;
mod lanes;
pub mod linear;
pub mod maps;
mod matrix_product;
pub mod max_pool;
pub mod normalise;
pub mod scratch;
mod simd;
pub(crate) mod storage;
pub mod tape;

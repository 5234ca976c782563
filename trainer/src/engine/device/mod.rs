//! The body's operators on a device, made of candle's: for CUDA and Metal, which the kernels beside this folder do not
//! know, and on candle's own CPU for comparison.
//!
//! Maps are tensors (N, C, H, W) as candle wants them. Every operator writes its gradient on a [`tape`], for the reason
//! the engine has one: candle's autograd would refuse or misplace some of them (max-pool), compute others by loops
//! instead of matrix products (convolution), and launch three times as many kernels. Formulas are the engine's, so that
//! one step gives the same numbers on both, up to rounding.

pub mod batch_norm;
pub mod convolution;
pub mod optimiser;
pub mod pool;
pub mod tape;

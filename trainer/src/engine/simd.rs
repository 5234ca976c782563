//! Vector instructions chosen at run time, so that one binary runs on every machine and uses what it finds.

use std::sync::OnceLock;

/// Channels that a kernel works on at a time: the widest vector.
pub const LANES: usize = 16;

/// Numbers of that many channels at one place.
pub type Vector = [f32; LANES];

/// A vector of `f` of every lane.
#[inline(always)]
pub fn lanes(f: impl Fn(usize) -> f32) -> Vector {
    let mut vector = [0.0; LANES];
    for (lane, value) in vector.iter_mut().enumerate() {
        *value = f(lane);
    }
    vector
}

/// The first numbers of `from`, all of a vector or `width` where it is not `FULL`; zeros fill the rest.
#[inline(always)]
pub fn load<const FULL: bool>(from: &[f32], width: usize) -> Vector {
    let mut vector = [0.0; LANES];
    let width = if FULL { LANES } else { width };
    vector[..width].copy_from_slice(&from[..width]);
    vector
}

/// The reverse of [`load`].
#[inline(always)]
pub fn store<const FULL: bool>(vector: &Vector, to: &mut [f32], width: usize) {
    let width = if FULL { LANES } else { width };
    to[..width].copy_from_slice(&vector[..width]);
}

/// Runs `$body` for every vector of `$channels` channels: `$first` is its first channel, `$width` its number of
/// channels and `$full` a constant that says whether these are all of a vector's. A loop over a number of channels that
/// only the caller knows would be compiled for long rows, and leave short ones to single numbers.
macro_rules! by_vectors {
    ($channels:expr, |$first:ident, $width:ident, $full:ident| $body:block) => {{
        let channels: usize = $channels;
        for $first in (0..channels - channels % LANES).step_by(LANES) {
            #[allow(dead_code, reason = "a body that treats both alike does not ask")]
            const $full: bool = true;
            let $width = LANES;
            $body
        }
        if channels % LANES > 0 {
            #[allow(dead_code, reason = "a body that treats both alike does not ask")]
            const $full: bool = false;
            let $first = channels - channels % LANES;
            let $width = channels % LANES;
            $body
        }
    }};
}
pub(crate) use by_vectors;

/// Widest instructions of the processor that the kernels know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// What the compiler assumes of every machine of this architecture.
    Baseline,
    /// AVX2 with fused multiply-add: 8 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512: 16 numbers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

/// The level of this machine; asked once.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(detect)
}

/// Runs `kernel` compiled for this machine's instructions. It must be a closure marked `#[inline(always)]` that calls
/// only functions marked so, or they keep the baseline's instructions.
#[inline(always)]
pub fn vectorise<R>(kernel: impl FnOnce() -> R) -> R {
    match level() {
        // SAFETY: detected.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { with_avx512(kernel) },
        // SAFETY: detected.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { with_avx2(kernel) },
        Level::Baseline => kernel(),
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") && is_x86_feature_detected!("fma") {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        Level::Avx2
    } else {
        Level::Baseline
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Baseline
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx2,fma")]
fn with_avx512<R>(kernel: impl FnOnce() -> R) -> R {
    kernel()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2<R>(kernel: impl FnOnce() -> R) -> R {
    kernel()
}

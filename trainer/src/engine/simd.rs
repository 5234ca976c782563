//! Vector instructions chosen at run time, so that one binary runs on every machine and uses what it finds.

use std::sync::OnceLock;

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

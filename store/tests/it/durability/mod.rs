//! What is acknowledged survives: traces, kills, power cuts, broken files, full disks and failing calls, each of them
//! at every place of one commit of each kind. Every harness also shows, once, that it can fail.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod child;
mod clock;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod disk;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod faults;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod full;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod kill;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod power;
mod states;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod supervise;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod trace;

use std::path::Path;

/// Copies a folder; what lies there before goes.
pub fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).expect("an old copy");
    }
    crate::opening::copy(from, to);
}

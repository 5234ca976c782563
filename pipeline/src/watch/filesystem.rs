//! Which file systems give no change notices for what other machines do.

use std::path::Path;

/// The kind of network or shared file system that `path` lies on; none for a local one, or where the system cannot say.
#[cfg(target_os = "linux")]
pub(super) fn shared_kind(path: &Path) -> Option<&'static str> {
    // The numbers of linux/magic.h and statfs(2).
    let kind = rustix::fs::statfs(path).ok()?.f_type;
    Some(match kind as u64 & 0xFFFF_FFFF {
        0x6969 => "NFS",
        0x517B | 0xFF53_4D42 | 0xFE53_4D42 => "SMB",
        0x0102_1997 => "9p",
        0x6573_5546 => "FUSE",
        0x5346_414F | 0x6B41_4653 => "AFS",
        0x00C3_6400 => "Ceph",
        0x0BD0_0BD0 => "Lustre",
        0x4750_4653 => "GPFS",
        0x786F_4256 => "VirtualBox shared folder",
        _ => return None,
    })
}

/// Elsewhere the choice is left to `poll = "always"`.
#[cfg(not(target_os = "linux"))]
pub(super) fn shared_kind(_path: &Path) -> Option<&'static str> {
    None
}

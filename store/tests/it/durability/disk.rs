//! File systems of our own to break: an image with ext4 or XFS on a loop device, a small tmpfs.
//!
//! Needs root and loop devices; where they are missing a test says so and is skipped.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted file system; unmounted when dropped.
pub struct Mount {
    pub at: PathBuf,
}

/// Why none can be mounted here; none where it can.
pub fn obstacle() -> Option<String> {
    // SAFETY: plain system call.
    if unsafe { libc::geteuid() } != 0 {
        return Some("no root".to_owned());
    }
    (!Path::new("/dev/loop-control").exists()).then(|| "no loop devices".to_owned())
}

/// Says that a test is skipped, in the words that CI looks for.
pub fn skip(test: &str, why: &str) {
    println!("SKIPPED ({why}): {test}");
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("no {program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Makes a file system in a sparse file.
pub fn make(kind: &str, image: &Path, megabytes: u64) -> Result<(), String> {
    let file = File::create(image).map_err(|error| error.to_string())?;
    file.set_len(megabytes << 20).map_err(|error| error.to_string())?;
    let image = image.to_str().expect("UTF-8");
    match kind {
        "xfs" => run("mkfs.xfs", &["-q", "-f", image]),
        _ => run("mkfs.ext4", &["-q", "-F", image]),
    }
}

/// Copies an image without its holes.
pub fn duplicate(from: &Path, to: &Path) {
    run("cp", &["--sparse=always", from.to_str().unwrap(), to.to_str().unwrap()]).unwrap();
}

impl Mount {
    pub fn image(image: &Path, at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run("mount", &["-o", "loop", image.to_str().unwrap(), at.to_str().unwrap()])?;
        Ok(Self { at: at.to_owned() })
    }

    pub fn tmpfs(options: &str, at: &Path) -> Result<Self, String> {
        std::fs::create_dir_all(at).map_err(|error| error.to_string())?;
        run("mount", &["-t", "tmpfs", "-o", options, "none", at.to_str().unwrap()])?;
        Ok(Self { at: at.to_owned() })
    }

    pub fn remount(&self, options: &str) {
        run("mount", &["-o", &format!("remount,{options}"), self.at.to_str().unwrap()]).unwrap();
    }

    /// Lets the loop device write a page at a time. Of a longer write that its file takes only in part it says that all went
    /// well: a disk that lies, which is not what is to be tried.
    pub fn write_single_pages(&self) {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let line = mounts.lines().find(|line| line.split(' ').nth(1).is_some_and(|at| Path::new(at) == self.at));
        let device = line.and_then(|line| line.split(' ').next()).and_then(|device| device.strip_prefix("/dev/"));
        std::fs::write(format!("/sys/block/{}/queue/max_sectors_kb", device.expect("a device")), "4").unwrap();
    }

    /// Pulls the plug: from here on nothing reaches the disk, as xfstests does it. What the journal must already hold is
    /// forced out first by syncing another file: names are on the disk then, bytes that nobody synced are not.
    pub fn cut(&self) {
        let bystander = File::create(self.at.join("bystander")).and_then(|file| file.sync_all());
        bystander.expect("a synced file");
        const SHUTDOWN: libc::c_ulong = 0x8004_587D;
        const NO_LOG_FLUSH: u32 = 2;
        let folder = File::open(&self.at).expect("the mount");
        // SAFETY: the request reads one number.
        let cut = unsafe { libc::ioctl(folder.as_raw_fd(), SHUTDOWN, &NO_LOG_FLUSH) };
        assert!(cut == 0, "shutdown: {}", std::io::Error::last_os_error());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let at = self.at.to_str().unwrap_or_default();
        // Somebody may still be closing a file.
        if run("umount", &[at]).is_err() {
            let _ = run("umount", &["-l", at]);
        }
    }
}

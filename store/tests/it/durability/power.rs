//! The plug is pulled before every call of one commit of each kind, and at random moments of a stream of them.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use super::child::{Kind, check, command, prepare, read_back, streamed, streamer};
use super::disk::{Mount, duplicate, make, obstacle, skip};
use super::supervise::{Act, Outcome, supervise};

/// Of a round, whose hundreds of calls are many commits one after the other, every so many calls.
const ROUND_STRIDE: usize = 24;
const ROUND_STRIDE_TORTURE: usize = 4;

/// File systems that are tried.
fn file_systems() -> &'static [&'static str] {
    if torture() { &["ext4", "xfs"] } else { &["ext4"] }
}

fn torture() -> bool {
    std::env::var_os("MARGINALIA_TORTURE").is_some()
}

struct Disk<'a> {
    folder: &'a Path,
}

impl Disk<'_> {
    fn mount(&self) -> Mount {
        Mount::image(&self.folder.join("work.img"), &self.folder.join("mount")).unwrap()
    }

    /// A fresh copy of the image with the small corpus in it.
    fn fresh(&self) -> Mount {
        duplicate(&self.folder.join("base.img"), &self.folder.join("work.img"));
        self.mount()
    }

    /// One commit with the plug pulled before call `place`; then what the next start finds.
    fn cut(&self, kind: Kind, sync: bool, place: usize) -> (Outcome, Mount) {
        let mount = self.fresh();
        let root = mount.at.join("c");
        let act = |at, _: &_| match at == place {
            true => {
                mount.cut();
                Act::Kill
            }
            false => Act::Go,
        };
        let outcome = supervise(&mut command(kind, &root, sync), &root, act);
        if outcome.acknowledged {
            // Past the last call: the plug is pulled right after the acknowledgement.
            mount.cut();
        }
        drop(mount);
        (outcome, self.mount())
    }
}

fn prepared(kind: &str, folder: &Path) -> Result<(), String> {
    let image = folder.join("base.img");
    make(kind, &image, if kind == "xfs" { 320 } else { 96 })?;
    let mount = Mount::image(&image, &folder.join("mount"))?;
    let root = mount.at.join("c");
    std::thread::scope(|scope| {
        let prepared = scope.spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(prepare(&root)));
        prepared.join().map_err(|_| "no corpus on the image".to_owned())
    })
}

#[test]
fn a_power_cut_before_any_call_leaves_the_old_or_the_new_version() {
    let name = "a_power_cut_before_any_call_leaves_the_old_or_the_new_version";
    if let Some(why) = obstacle() {
        return skip(name, &why);
    }
    for file_system in file_systems() {
        let folder = tempfile::tempdir().unwrap();
        if let Err(why) = prepared(file_system, folder.path()) {
            return skip(name, &why);
        }
        let disk = Disk { folder: folder.path() };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        for kind in Kind::ALL {
            let calls = {
                let mount = disk.fresh();
                let root = mount.at.join("c");
                supervise(&mut command(kind, &root, true), &root, |_, _| Act::Go).calls.len()
            };
            let stride = match kind {
                Kind::Round if torture() => ROUND_STRIDE_TORTURE,
                Kind::Round => ROUND_STRIDE,
                _ => 1,
            };
            let mut cuts = 0;
            for place in (0..calls).step_by(stride).chain([calls]) {
                let (outcome, mount) = disk.cut(kind, true, place);
                let root = mount.at.join("c");
                let checked = runtime.block_on(check(kind, &root, outcome.acknowledged));
                let call = outcome.calls.last();
                checked
                    .unwrap_or_else(|error| panic!("{kind:?} on {file_system} cut before {place} ({call:?}): {error}"));
                assert!(place < calls || outcome.acknowledged);
                cuts += 1;
            }
            println!("{kind:?} on {file_system}: {cuts} cuts over {calls} calls, nothing lost");
        }
        // The control: without syncs an acknowledged label must be gone after a cut.
        let (outcome, mount) = disk.cut(Kind::Label, false, usize::MAX);
        let lost = runtime.block_on(check(Kind::Label, &mount.at.join("c"), true));
        assert!(outcome.acknowledged && lost.is_err(), "a cut without syncs loses nothing: the harness sees nothing");
    }
}

/// Cuts in CI; more under `make torture`.
const CUTS: u64 = 20;

#[test]
fn random_power_cuts_of_a_writer_lose_nothing_acknowledged() {
    let name = "random_power_cuts_of_a_writer_lose_nothing_acknowledged";
    if let Some(why) = obstacle() {
        return skip(name, &why);
    }
    let seed: u64 = std::env::var("MARGINALIA_TORTURE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(1);
    let cuts: u64 = std::env::var("MARGINALIA_TORTURE_CUTS").ok().and_then(|s| s.parse().ok()).unwrap_or(CUTS);
    println!("seed {seed}, {cuts} cuts: repeat with MARGINALIA_TORTURE_SEED={seed} MARGINALIA_TORTURE_CUTS={cuts}");
    for file_system in file_systems() {
        let folder = tempfile::tempdir().unwrap();
        if let Err(why) = prepared(file_system, folder.path()) {
            return skip(name, &why);
        }
        let disk = Disk { folder: folder.path() };
        let cuts = cuts / file_systems().len() as u64;
        let (mut acknowledged, mut lost) = (0, 0);
        for cut in 0..cuts {
            let (acked, found) = cut_stream(&disk, true, seed, cut);
            acknowledged += acked.len();
            match found {
                Ok(found) => lost += acked.iter().filter(|id| !found.contains(id)).count(),
                Err(error) => {
                    let kept = std::env::temp_dir().join(format!("marginalia-cut-{seed}-{cut}.img"));
                    duplicate(&folder.path().join("work.img"), &kept);
                    panic!(
                        "cut {cut} after {} acknowledgements: {error}; the disk is in {}",
                        acked.len(),
                        kept.display()
                    );
                }
            }
        }
        assert_eq!(lost, 0, "of {acknowledged} acknowledged rows");
        println!("{file_system}: {cuts} random cuts, {acknowledged} rows acknowledged, none lost");
        // The control: without syncs rows are lost.
        let lost = (0..3).any(|cut| {
            let (acked, found) = cut_stream(&disk, false, seed, cut);
            found.map_or(!acked.is_empty(), |found| acked.iter().any(|id| !found.contains(id)))
        });
        assert!(lost, "cuts without syncs lose nothing: the harness sees nothing");
    }
}

/// Pulls the plug of a writer after some acknowledgements: counted, not timed, so that a slow machine cuts at the same
/// places. Returns what was acknowledged, and what the next start finds.
fn cut_stream(disk: &Disk<'_>, sync: bool, seed: u64, cut: u64) -> (Vec<u32>, Result<Vec<u32>, String>) {
    let mount = disk.fresh();
    let root = mount.at.join("c");
    let mut writer = streamer(&root, sync).stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines();
    let stop = 3 + (blake3::hash(&[seed.to_le_bytes(), cut.to_le_bytes()].concat()).as_bytes()[0] % 12) as usize;
    let acknowledged: Vec<u32> = lines.map_while(Result::ok).filter_map(|l| l.parse().ok()).take(stop).collect();
    mount.cut();
    writer.kill().unwrap();
    writer.wait().unwrap();
    drop(mount);
    let mount = disk.mount();
    let root = mount.at.join("c");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let found = runtime.block_on(async {
        let found = streamed(&root).await?;
        let mut once = found.clone();
        once.dedup();
        if once != found {
            return Err("a row stands twice".to_owned());
        }
        read_back(&root).await.map(|_| found)
    });
    (acknowledged, found)
}

//! Calls of the system that fail: links, renames, writes and syncs, one after the other, at every place of a commit.

use super::child::{Kind, check, command, prepare, read_back};
use super::copy;
use super::supervise::{Act, Call, supervise};

/// Lets one call fail with `errno` and says how the process took it.
fn fails_at(
    kind: Kind,
    paths: (&std::path::Path, &std::path::Path),
    errno: i32,
    fails: impl Fn(usize, &Call) -> bool,
) -> super::supervise::Outcome {
    let (base, work) = paths;
    copy(base, work);
    let act = |at, call: &Call| if fails(at, call) { Act::Fail(errno) } else { Act::Go };
    supervise(&mut command(kind, work, true), work, act)
}

#[test]
fn a_call_that_fails_is_an_error_and_costs_nothing_that_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let (base, work) = (folder.path().join("base"), folder.path().join("work"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(prepare(&base));
    copy(&base, &work);
    let calls = supervise(&mut command(Kind::Label, &work, true), &work, |_, _| Act::Go).calls;
    for (place, call) in calls.iter().enumerate() {
        for errno in [libc::EIO, libc::ENOSPC] {
            let outcome = fails_at(Kind::Label, (&base, &work), errno, |at, _| at == place);
            let checked = runtime.block_on(check(Kind::Label, &work, outcome.acknowledged));
            checked.unwrap_or_else(|error| panic!("{call:?} failed with {errno}: {error}"));
            // A sync that failed must never be taken for one that did not.
            assert!(call.name != "sync" || !outcome.acknowledged, "acknowledged although {call:?} failed");
        }
    }
    println!("Label: {} calls failed in two ways each", calls.len());
}

#[test]
fn a_full_disk_leaves_no_orphan_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (base, work) = (folder.path().join("base"), folder.path().join("work"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(prepare(&base));
    let data = |root: &std::path::Path| {
        let mut files: Vec<_> = std::fs::read_dir(root.join("tables/labels.lance/data"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        files.sort();
        files
    };
    // No room for the manifest, when the data file is written already.
    let outcome = fails_at(Kind::Label, (&base, &work), libc::ENOSPC, |_, call| {
        call.name == "open" && call.path.to_string_lossy().contains("staging")
    });
    assert!(!outcome.acknowledged);
    assert!(outcome.calls.iter().any(|call| call.path.starts_with(work.join("tables/labels.lance/data"))));
    assert_eq!(data(&work), data(&base), "the data file of the failed append is still there");
    runtime.block_on(read_back(&work)).unwrap();
}

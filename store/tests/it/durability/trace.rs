//! At the acknowledgement nothing of a commit is un-synced: neither a file that was written nor a folder whose names
//! changed.

use std::path::Path;

use super::child::{Kind, command, prepare};
use super::copy;
use super::supervise::{Act, Outcome, supervise};

fn trace(kind: Kind, base: &Path, work: &Path, sync: bool) -> Outcome {
    copy(base, work);
    let mut outcome = supervise(&mut command(kind, work, sync), work, |_, _| Act::Go);
    // A lock file that is lost is made again; it holds nothing. A transaction is in its manifest too.
    let is_spare =
        |path: &Path| path.starts_with(work.join("locks")) || path.iter().any(|part| part == "_transactions");
    outcome.unsynced.retain(|path| path != work && !is_spare(path));
    outcome
}

#[test]
fn nothing_is_unsynced_when_a_commit_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (base, work) = (folder.path().join("base"), folder.path().join("work"));
    tokio::runtime::Runtime::new().unwrap().block_on(prepare(&base));
    for kind in Kind::ALL {
        let traced = trace(kind, &base, &work, true);
        assert!(traced.acknowledged, "{kind:?} was not acknowledged");
        assert!(traced.calls.len() >= 10, "{kind:?}: only {} calls seen", traced.calls.len());
        assert!(traced.unsynced.is_empty(), "{kind:?}: not synced when acknowledged: {:#?}", traced.unsynced);
        println!("{kind:?}: {} calls, nothing un-synced", traced.calls.len());
        // The control: with syncs switched off the same trace must find something.
        let control = trace(kind, &base, &work, false);
        assert!(control.acknowledged && !control.unsynced.is_empty(), "{kind:?}: the trace sees nothing");
    }
}

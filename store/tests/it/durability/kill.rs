//! kill -9 before every call of one commit of each kind.

use super::child::{Kind, check, command, prepare};
use super::copy;
use super::supervise::{Act, supervise};

/// Of a round, whose hundreds of calls are many commits one after the other, every so many calls.
const ROUND_STRIDE: usize = 12;
const ROUND_STRIDE_TORTURE: usize = 3;

#[test]
fn a_kill_before_any_call_leaves_the_old_or_the_new_version() {
    let folder = tempfile::tempdir().unwrap();
    let (base, work) = (folder.path().join("base"), folder.path().join("work"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(prepare(&base));
    for kind in Kind::ALL {
        copy(&base, &work);
        let calls = supervise(&mut command(kind, &work, true), &work, |_, _| Act::Go).calls.len();
        let torture = std::env::var_os("MARGINALIA_TORTURE").is_some();
        let stride = match kind {
            Kind::Round if torture => ROUND_STRIDE_TORTURE,
            Kind::Round => ROUND_STRIDE,
            _ => 1,
        };
        let mut places = 0;
        for place in (0..calls).step_by(stride) {
            copy(&base, &work);
            let act = |at, _: &_| if at == place { Act::Kill } else { Act::Go };
            let outcome = supervise(&mut command(kind, &work, true), &work, act);
            let call = outcome.calls.last().cloned();
            let checked = runtime.block_on(check(kind, &work, outcome.acknowledged));
            checked.unwrap_or_else(|error| panic!("{kind:?} killed before call {place} ({call:?}): {error}"));
            places += 1;
        }
        println!("{kind:?}: killed at {places} of {calls} calls");
    }
}

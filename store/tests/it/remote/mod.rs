//! Corpora on `s3://`, on a real server process: who promises what, and what is left when machines die.

mod moto;
mod scenes;
mod server;

use std::time::{Duration, Instant};

use marginalia_store::Dedup;
use scenes::Scene;
use server::Server;

/// Appended flat out by four processes: seconds of a test, of the torture.
const SECONDS: (u64, u64) = (10, 60);

fn seconds() -> u64 {
    if std::env::var_os("MARGINALIA_TORTURE").is_some() { SECONDS.1 } else { SECONDS.0 }
}

#[test]
fn four_writers_and_a_compactor_lose_nothing_and_double_nothing() {
    four_writers(Dedup::Lookup, Scene::Count);
}

/// Nobody looks up what the others have: the table may hold a face twice, the views never.
#[test]
fn four_writers_that_look_nothing_up_lose_nothing_and_no_view_shows_a_face_twice() {
    four_writers(Dedup::View, Scene::CountInViews);
}

fn four_writers(dedup: Dedup, count: Scene) {
    let Some(server) = Server::start() else { return };
    let machines: Vec<_> = (0..5).map(|_| tempfile::tempdir().unwrap()).collect();
    server.play(Scene::Init, machines[0].path()).finish();
    let compactor = server.play(Scene::Compact { dedup }, machines[4].path());
    let writers: Vec<_> = (0..4)
        .map(|i| server.play(Scene::Write { first: i, seconds: seconds(), dedup }, machines[i as usize].path()))
        .collect();
    let said: Vec<String> = writers.into_iter().map(server::Playing::finish).collect();
    compactor.kill();
    let number = |word: &str, line: &str| line.strip_prefix(word).and_then(|n| n.trim().parse::<u32>().ok());
    let of = |word: &str| -> Vec<u32> {
        said.iter().flat_map(|said| said.lines()).filter_map(|line| number(word, line)).collect()
    };
    let (faces, labels) = (of("face "), of("label "));
    let (commits, conflicts) = (of("commits ").iter().sum::<u32>(), of("conflicts ").iter().sum::<u32>());
    println!(
        "{} faces and {} labels acknowledged in {commits} commits, {conflicts} conflicts",
        faces.len(),
        labels.len()
    );
    assert!(said.iter().all(|said| said.contains("face ")), "a writer never came through: {said:?}");
    // The compactor's machine, which knows that its process is dead.
    let stored = server.play(count, machines[4].path()).finish();
    let stored = |word: &str| -> Vec<u32> { stored.lines().filter_map(|line| number(word, line)).collect() };
    for (word, mut acknowledged) in [("face ", faces), ("label ", labels)] {
        acknowledged.sort_unstable();
        acknowledged.dedup();
        let stored = stored(word);
        let lost: Vec<_> = acknowledged.iter().filter(|n| stored.binary_search(n).is_err()).collect();
        let doubled = stored.windows(2).filter(|pair| pair[0] == pair[1]).count();
        assert!(lost.is_empty(), "{word}: {} acknowledged and lost: {lost:?}", lost.len());
        assert_eq!(doubled, 0, "{word}: stored twice");
    }
}

#[test]
fn a_machine_that_slept_finds_that_maintenance_is_anothers() {
    let Some(server) = Server::start() else { return };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    server.play(Scene::Init, one.path()).finish();
    let mut holder = server.play(Scene::HoldCare, one.path());
    holder.wait_for("held");
    let (code, said) = server.play(Scene::CompactOnce, two.path()).end();
    assert!(code != Some(0) && said.contains("maintenance is held by process"), "{said}");
    holder.sleep();
    let slept = Instant::now();
    loop {
        let (code, said) = server.play(Scene::CompactOnce, two.path()).end();
        if code == Some(0) {
            break;
        }
        assert!(slept.elapsed() < Duration::from_secs(90), "never taken over: {said}");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(slept.elapsed() > Duration::from_secs(20), "taken from a machine that may have been alive");
    holder.wake();
    let said = holder.finish();
    assert!(said.contains("maintenance was lost"), "{said}");
}

#[test]
fn a_store_that_ignores_conditions_is_refused() {
    let Some(server) = Server::start() else { return };
    let machine = tempfile::tempdir().unwrap();
    server.play(Scene::Init, machine.path()).finish();
    server.forget_conditions();
    // A new corpus, and the first commit of a process into one that is there.
    for scene in [Scene::InitAnother, Scene::Append] {
        let (code, said) = server.play(scene, machine.path()).end();
        assert!(code != Some(0) && said.contains("ignores conditional writes"), "{said}");
    }
}

#[test]
fn a_corpus_moves_to_a_store_and_back() {
    let Some(server) = Server::start() else { return };
    let machine = tempfile::tempdir().unwrap();
    server.play(Scene::MoveHouse, machine.path()).finish();
}

#[test]
fn a_round_and_a_forgetting_leave_a_clean_corpus() {
    let Some(server) = Server::start() else { return };
    let machine = tempfile::tempdir().unwrap();
    server.play(Scene::Init, machine.path()).finish();
    server.play(Scene::Round, machine.path()).finish();
    // Another machine has nothing but the store.
    let other = tempfile::tempdir().unwrap();
    server.play(Scene::Look, other.path()).finish();
    server.play(Scene::Forget, other.path()).finish();
}

#[test]
fn a_round_of_a_dead_machine_is_taken_over_once_its_lease_has_run_out() {
    let Some(server) = Server::start() else { return };
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    server.play(Scene::Init, one.path()).finish();
    let mut holder = server.play(Scene::HoldRound, one.path());
    holder.wait_for("held");
    let (code, said) = server.play(Scene::Round, two.path()).end();
    assert!(code != Some(0) && said.contains("is held by process"), "{said}");
    holder.kill();
    // The same machine knows that its process is dead.
    server.play(Scene::TakeRound, one.path()).kill_after("held");
    let died = Instant::now();
    let (code, said) = server.play(Scene::Round, two.path()).end();
    assert!(code != Some(0) && said.contains("is held by process"), "{said}");
    loop {
        let (code, said) = server.play(Scene::Round, two.path()).end();
        if code == Some(0) {
            break;
        }
        assert!(died.elapsed() < Duration::from_secs(90), "never taken over: {said}");
        std::thread::sleep(Duration::from_secs(2));
    }
    assert!(died.elapsed() > Duration::from_secs(20), "taken from a machine that may have been alive");
}

//! Signals end the work through the token.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use marginalia::shutdown::on_signals;
use rustix::process::{Pid, Signal, getpid, kill_process};

use crate::binary::{Bench, write_faces};

#[tokio::test]
async fn the_first_signal_cancels_the_token() {
    let token = on_signals().unwrap();
    assert!(!token.is_cancelled());
    kill_process(getpid(), Signal::TERM).unwrap();
    tokio::time::timeout(Duration::from_secs(30), token.cancelled()).await.expect("the signal cancels the token");
}

#[test]
fn a_stream_that_waits_for_room_ends_cleanly_and_goes_on_where_it_was() {
    let bench = Bench::new();
    let inbox = bench.path("inbox");
    write_faces(&inbox, 1, 0..5);
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("reserve_mb = 64", "reserve_mb = 1048576")).unwrap();
    let mut command = bench.command(&["ingest", "--watch", inbox.to_str().unwrap()]);
    let mut watching = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(watching.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("waits until there is room")), "it did not wait");
    kill_process(Pid::from_child(&watching), Signal::INT).unwrap();
    let rest: Vec<String> = said.collect();
    assert!(watching.wait().unwrap().success(), "{rest:?}");
    assert_eq!(bench.count("select count(*) from sightings"), 0);
    std::fs::write(&config, text).unwrap();
    bench.ok(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!(bench.count("select count(*) from faces"), 5);
}

#[test]
fn a_query_that_is_stopped_says_so_and_leaves_no_part_of_its_answer() {
    let bench = Bench::new();
    let (file, part) = (bench.path("answer.csv"), bench.path("answer.csv.part"));
    let endless = "select sum(value) from generate_series(1, 1000000000000000000)";
    let mut command = bench.command(&["sql", endless, "--format", "csv", "--output", file.to_str().unwrap()]);
    let asking = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (until, pause) = (Instant::now() + Duration::from_secs(60), Duration::from_millis(200));
    let stays = || {
        std::thread::sleep(pause);
        part.exists()
    };
    // It is there for a moment before the query runs, too: whether it can be.
    while !(stays() && stays()) {
        assert!(Instant::now() < until, "no answer was begun");
    }
    kill_process(Pid::from_child(&asking), Signal::INT).unwrap();
    let output = asking.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(1) && said.contains("the query was stopped before it was done"), "{said}");
    assert!(!part.exists() && !file.exists());
}

//! `train --init`: a round starts from a file of weights, elsewhere and later too, and from no other file.

use std::io::{BufRead, BufReader};
use std::process::{Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Bench;

/// A corpus with two rounds, and `weights.safetensors` beside it: the first one's teacher.
fn trained() -> Bench {
    let bench = Bench::with_faces();
    bench.ok(&["train"]);
    bench.ok(&["train"]);
    put_weights(&bench, 1);
    bench
}

/// Makes `weights.safetensors` the teacher of a round.
fn put_weights(bench: &Bench, round: u32) {
    let teacher = bench.corpus().join(format!("checkpoints/round-{round:05}/teacher.safetensors"));
    std::fs::copy(teacher, bench.path("weights.safetensors")).unwrap();
}

/// Runs where `weights.safetensors` is not.
fn elsewhere(bench: &Bench, args: &[&str]) -> Output {
    bench.command(args).current_dir(bench.corpus()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn assert_refused(output: &Output) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("weights.safetensors: not the file that round 3 starts from"), "{said}");
}

#[test]
fn a_replay_starts_from_the_same_file_or_refuses() {
    let bench = trained();
    let round = bench.run(&["train", "--init", "weights.safetensors"]);
    assert!(round.status.success(), "{}", said(&round));
    let loaded = "tensors (conv1, bn1, layer1, layer2, layer3, layer4, fc) from ";
    assert_eq!(said(&round).matches(loaded).count(), 1, "{}", said(&round));
    let replayed = elsewhere(&bench, &["rounds", "3", "--replay"]);
    assert!(replayed.status.success(), "{}", said(&replayed));

    put_weights(&bench, 2);
    assert_refused(&elsewhere(&bench, &["rounds", "3", "--replay"]));
}

#[test]
fn a_stopped_round_does_not_go_on_from_another_file() {
    let bench = trained();
    // Stopped within its first epoch, which is long: nothing but the file has its weights.
    let mut command = bench.command(&["train", "--init", "weights.safetensors", "--steps", "1000000", "--json"]);
    let mut training = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(training.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains("epoch_step")), "it did not begin");
    kill_process(Pid::from_child(&training), Signal::INT).unwrap();
    lines.for_each(drop);
    assert_eq!(training.wait().unwrap().code(), Some(1));

    put_weights(&bench, 2);
    assert_refused(&elsewhere(&bench, &["train"]));
    // That round is given up, and the next one begins anew.
    assert_eq!(bench.json(&["train"])["round"], 3);
}

//! `run` as its own process: what it serves beside its work, and rounds that are asked for and stopped over HTTP.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::binary::{Bench, write_faces, write_labelled};

struct Running {
    child: Child,
    events: Box<dyn Iterator<Item = Value>>,
    address: String,
}

impl Running {
    fn start(bench: &Bench) -> Self {
        let inbox = bench.path("inbox");
        std::fs::create_dir_all(&inbox).unwrap();
        let mut child = bench.start(&["run", inbox.to_str().unwrap(), "--addr", "127.0.0.1:0", "--json"]);
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut events = lines.map(|line| serde_json::from_str::<Value>(&line).unwrap());
        let serving = events.find(|event| event["event"] == "serving").unwrap();
        let address = serving["http"].as_str().unwrap().to_owned();
        Self { child, events: Box::new(events), address }
    }

    /// `serve` alone, which tells no events.
    fn serve(bench: &Bench) -> Self {
        let mut child = bench.start(&["serve", "--addr", "127.0.0.1:0", "--json"]);
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let serving: Value = serde_json::from_str(&line).unwrap();
        let address = serving["http"].as_str().unwrap().to_owned();
        Self { child, events: Box::new(std::iter::empty()), address }
    }

    /// The next event of a kind. A round that fails ends the wait, too: there may never be another event.
    fn wait_for(&mut self, kind: &str) -> Value {
        let ends = |event: &Value| event["event"] == kind || event["event"] == "round_aborted";
        let event = self.events.find(ends).unwrap_or_else(|| panic!("no {kind} any more"));
        assert_eq!(event["event"], kind, "{event}");
        event
    }

    fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        self.send(method, path, "", "")
    }

    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let address = &self.address;
        write!(connection, "{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Connection: close\r\n\r\n{body}")
            .unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        self.send("POST", path, &headers, &body)
    }

    fn end(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A test that failed leaves nobody behind; otherwise it has ended already.
        let _ = self.child.kill();
    }
}

/// A corpus whose labels ask for a first round, and faces to train on without labels.
fn with_labels(steps: &str) -> Bench {
    let bench = Bench::new();
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace("min_labels_total = 500", "min_labels_total = 42").replace("steps_per_epoch = 3", steps);
    std::fs::write(&config, text).unwrap();
    write_labelled(&bench.path("faces"), 3, 42);
    bench.ok(&["import", "imagefolder", bench.path("faces").to_str().unwrap()]);
    write_faces(&bench.path("pool"), 5, 0..20);
    bench.ok(&["ingest", bench.path("pool").to_str().unwrap()]);
    bench
}

#[test]
fn a_round_that_was_asked_for_runs_beside_the_watcher_and_the_server() {
    let bench = with_labels("steps_per_epoch = 3");
    let mut running = Running::start(&bench);
    // The labels ask for a first round by themselves.
    assert_eq!(running.wait_for("round_committed")["round"], 1);
    write_faces(&bench.path("inbox"), 9, 0..3);
    running.wait_for("face_scored");
    assert_eq!(running.ask("POST", "/api/rounds"), (202, json!({ "asked": true })));
    assert_eq!(running.wait_for("round_committed")["round"], 2);
    let (status, rounds) = running.ask("GET", "/api/rounds");
    assert_eq!((status, &rounds["current"], &rounds["trains"]), (200, &json!(2), &json!(true)));
    assert_eq!(running.ask("DELETE", "/api/rounds/current").1["code"], "no_round");
    running.end();
    let triggers = bench.sql("select trigger from rounds order by round");
    assert_eq!(triggers, [json!({ "trigger": "labels" }), json!({ "trigger": "manual" })]);
}

#[test]
#[cfg(target_os = "linux")]
fn arrivals_are_scored_by_as_many_threads_as_are_set() {
    let bench = with_labels("steps_per_epoch = 3\nthreads = 3");
    bench.ok(&["train"]);
    let mut running = Running::start(&bench);
    write_faces(&bench.path("inbox"), 9, 0..3);
    running.wait_for("face_scored");
    let tasks = format!("/proc/{}/task", running.child.id());
    let scoring = || {
        // One that has just ended has no name any more.
        let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).ok();
        let names = std::fs::read_dir(&tasks).unwrap().filter_map(|task| name(task.unwrap()));
        names.filter(|name| name.starts_with("scorer-")).count()
    };
    // A thread names itself when it first runs.
    for _ in 0..600 {
        if scoring() >= 3 {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert_eq!(scoring(), 3);
    running.end();
}

#[test]
fn a_round_that_is_stopped_leaves_nothing_and_is_not_begun_again() {
    let bench = with_labels("steps_per_epoch = 100000");
    let mut running = Running::start(&bench);
    running.wait_for("epoch_step");
    assert_eq!(running.ask("POST", "/api/rounds").1["code"], "round_under_way");
    assert_eq!(running.ask("DELETE", "/api/rounds/current"), (202, json!({ "asked": true })));
    assert_eq!(running.wait_for("round_aborted")["reason"], "it was stopped by hand");
    // Whether a round is due is asked once a second: a slow machine asks less often, and the test still passes.
    write_faces(&bench.path("inbox"), 9, 0..3);
    std::thread::sleep(std::time::Duration::from_secs(3));
    let (_, rounds) = running.ask("GET", "/api/rounds");
    assert_eq!(
        (&rounds["current"], &rounds["unfinished"], &rounds["rounds"]),
        (&Value::Null, &Value::Null, &json!([]))
    );
    running.end();
    assert_eq!(bench.count("select count(*) from rounds"), 0);
    bench.ok(&["verify"]);
}

#[test]
fn only_who_trains_is_asked_for_rounds() {
    let bench = Bench::new();
    let running = Running::serve(&bench);
    for (method, path) in [("POST", "/api/rounds"), ("DELETE", "/api/rounds/current")] {
        let (status, problem) = running.ask(method, path);
        assert_eq!((status, &problem["code"]), (409, &json!("no_trainer")));
    }
    let taken = bench.run(&["serve", "--addr", &running.address]);
    assert!(String::from_utf8(taken.stderr).unwrap().contains("the queue is held by another process"));
    running.end();
}

#[test]
fn labels_do_not_pile_up_in_small_files_while_only_serve_runs() {
    let bench = Bench::new();
    let config = bench.corpus().join("marginalia.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("maintenance_every_seconds = 60", "maintenance_every_seconds = 1")).unwrap();
    write_faces(&bench.path("pool"), 5, 0..1);
    bench.ok(&["ingest", bench.path("pool").to_str().unwrap()]);
    let face = bench.sql("select face_id from faces")[0]["face_id"].as_str().unwrap().to_owned();
    let running = Running::serve(&bench);
    for _ in 0..20 {
        let label = json!({ "face_id": face, "verdict": "unsure", "annotator": "ada" });
        assert_eq!(running.post("/api/labels", &label).0, 201);
    }
    let data = bench.corpus().join("tables/labels.lance/data");
    // Old files go later; a compaction adds one that holds all rows.
    let compacted = || std::fs::read_dir(&data).unwrap().count() > 20;
    for _ in 0..600 {
        if compacted() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    assert!(compacted(), "nobody put the files together");
    running.end();
    assert_eq!(bench.count("select count(*) from labels"), 20);
}

//! Several hosts that ingest into one corpus on `s3://`, as the real binary, beside maintenance.

#[path = "../../../store/tests/it/remote/moto.rs"]
mod moto;

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use moto::Moto;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::binary::{Bench, write_faces};

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(300);

const URI: &str = "s3://faces/corpora/many";

/// Hosts, faces of each, and faces that all of them have.
const HOSTS: u64 = 4;
const OWN: u64 = 40;
const SHARED: u64 = 12;

#[test]
fn faces_of_four_hosts_are_stored_once_where_each_is_looked_up() {
    let Some(store) = Store::with("lookup") else { return };
    store.ingest_on_every_host();
    assert_eq!(store.count("select count(*) from faces"), HOSTS * OWN + SHARED);
    store.ok(&["verify"]);
}

#[test]
fn faces_of_four_hosts_show_once_where_none_is_looked_up() {
    let Some(store) = Store::with("view") else { return };
    store.ingest_on_every_host();
    store.ok(&["verify"]);
    store.ok(&["compact"]);
    assert_eq!(store.count("select count(*) from faces"), HOSTS * OWN + SHARED);
}

/// A corpus in a store of its own.
struct Store {
    bench: Bench,
    server: Moto,
}

impl Store {
    /// Starts an S3 server with a corpus of this setting; says so where there is none to start.
    fn with(dedup: &str) -> Option<Self> {
        let store = Self { server: Moto::start()?, bench: Bench::new() };
        let config = store.bench.corpus().join("marginalia.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let often = [
            ("dedup = \"auto\"", format!("dedup = \"{dedup}\"")),
            ("maintenance_every_seconds = 60", "maintenance_every_seconds = 3".to_owned()),
            ("cleanup_every_seconds = 300", "cleanup_every_seconds = 6".to_owned()),
        ];
        let changed = often.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "the settings have no line `{from}`");
            text.replace(from, to)
        });
        std::fs::write(&config, changed).unwrap();
        // The way of a corpus into a store.
        let run = |args: &[&str]| {
            let output = store.command(args, 0).env("MARGINALIA_CORPUS", store.bench.corpus()).output().unwrap();
            assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["backup", "s3://faces/backup"]);
        run(&["restore", "s3://faces/backup", URI]);
        Some(store)
    }

    /// Four processes, each with a working folder of its own, take their faces in, of which some come to all of them;
    /// then every file is known, every face shows once, and nobody is among the writers any more.
    fn ingest_on_every_host(&self) {
        let inboxes: Vec<PathBuf> = (0..HOSTS).map(|host| self.bench.path(&format!("inbox-{host}"))).collect();
        let mut running: Vec<Child> = Vec::new();
        for (host, inbox) in (0..HOSTS).zip(&inboxes) {
            std::fs::create_dir_all(inbox).unwrap();
            let stream = format!("host-{host}");
            let mut command = self.command(&["ingest", inbox.to_str().unwrap(), "--watch", "--stream", &stream], host);
            running.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        }
        let status = self.until("four writers", || {
            let status = self.json(&["status"]);
            (status["writers"].as_array().unwrap().len() as u64 == HOSTS).then_some(status)
        });
        let writers = status["writers"].as_array().unwrap();
        assert!(writers.iter().all(|writer| writer["work"] == "ingest" && writer["host"] != ""), "{status}");
        let processes: Vec<u64> = writers.iter().filter_map(|writer| writer["process"].as_u64()).collect();
        assert!(running.iter().all(|child| processes.contains(&u64::from(child.id()))), "{status}");
        // A few at a time, the shared ones to everybody at once.
        for part in 0..4 {
            for (host, inbox) in (0..HOSTS).zip(&inboxes) {
                write_faces(inbox, 99, part * SHARED / 4..(part + 1) * SHARED / 4);
                let first = 1000 * (host + 1) + part * OWN / 4;
                write_faces(inbox, 7, first..first + OWN / 4);
            }
            std::thread::sleep(Duration::from_millis(700));
        }
        let seen = "select count(distinct source) from sightings where face_id is not null";
        self.until("every file", || (self.count(seen) == HOSTS * (OWN + SHARED)).then_some(()));
        self.until("what was committed", || {
            let status = self.json(&["status"]);
            let faces = status["writers"].as_array().unwrap().iter().filter_map(|writer| writer["faces"].as_u64());
            (faces.sum::<u64>() >= HOSTS * OWN + SHARED).then_some(())
        });
        assert!(self.ok(&["status"]).contains("last commit (UTC)"));
        for mut child in running {
            kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            assert!(child.wait().unwrap().success(), "an ingesting process failed");
        }
        let distinct = HOSTS * OWN + SHARED;
        assert_eq!(self.count("select count(distinct face_id) from faces"), distinct);
        assert_eq!(self.count("select count(*) from unlabelled"), distinct);
        assert_eq!(self.count("select count(*) from queue"), distinct);
        assert_eq!(self.count("select cast(sum(faces) as bigint) from ingest_rate"), distinct);
        let status = self.json(&["status"]);
        assert_eq!((status["faces"].as_u64(), &status["writers"]), (Some(distinct), &Value::Array(Vec::new())));
    }

    /// The binary on one of the hosts.
    fn command(&self, args: &[&str], host: u64) -> Command {
        let mut command = self.bench.command(args);
        command.env("MARGINALIA_CORPUS", URI).env("MARGINALIA_CACHE", self.bench.path(&format!("host-{host}")));
        self.server.show(&mut command);
        command
    }

    /// Runs on a host that takes no faces in; returns stdout.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.command(args, HOSTS).output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[args, &["--json"]].concat())).unwrap()
    }

    fn count(&self, query: &str) -> u64 {
        let rows = self.json(&["sql", query]);
        rows[0].as_object().unwrap().values().next().unwrap().as_u64().unwrap()
    }

    fn until<T>(&self, what: &str, there: impl Fn() -> Option<T>) -> T {
        let asked = Instant::now();
        loop {
            if let Some(found) = there() {
                return found;
            }
            assert!(asked.elapsed() < HANG, "never came: {what}");
            std::thread::sleep(Duration::from_millis(500));
        }
    }
}

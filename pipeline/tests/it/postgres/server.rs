//! The server in a process of its own, and clients for it.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

use crate::binary::{Bench, python, write_faces};

/// A corpus that is served.
pub struct Server {
    pub bench: Bench,
    child: Child,
    pub port: u16,
    /// Where it answers HTTP.
    pub http: String,
}

/// What a client is let in with.
#[derive(Clone, Copy)]
pub struct User<'a> {
    pub name: &'a str,
    pub token: &'a str,
}

/// Nobody in particular.
pub const ANYBODY: User<'_> = User { name: "somebody", token: "" };

impl Server {
    /// Serves a corpus of 30 faces.
    pub fn start() -> Self {
        Self::start_with(Bench::new(), &[])
    }

    /// Serves the corpus of a bench, on loopback.
    pub fn start_with(bench: Bench, args: &[&str]) -> Self {
        let inbox = bench.path("inbox");
        write_faces(&inbox, 3, 0..30);
        bench.ok(&["ingest", inbox.to_str().expect("UTF-8")]);
        let mut child =
            bench.start(&[&["serve", "--addr", "127.0.0.1:0", "--postgres", "127.0.0.1:0", "--json"], args].concat());
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its stdout")).read_line(&mut line).expect("a line");
        let serving: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = serving["postgres"].as_str().expect("an address");
        let port = address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
        let http = serving["http"].as_str().expect("an address").to_owned();
        Self { bench, child, port, http }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// psql on this server, without the settings of whoever runs the tests; none where it is not installed.
    pub fn psql(&self, user: User<'_>) -> Option<Command> {
        if Command::new("psql").arg("--version").output().is_err() {
            println!("SKIPPED (no psql: `make tools` installs it)");
            return None;
        }
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-d", "marginalia"]);
        command.args(["-p", &self.port.to_string(), "-U", user.name]);
        command.env("PGPASSWORD", user.token).env("PGCONNECT_TIMEOUT", "60").env("LC_ALL", "C.UTF-8");
        command.env_remove("PGSERVICE").env_remove("PGOPTIONS").env_remove("PGSSLMODE").stdin(Stdio::null());
        Some(command)
    }

    /// Runs `clients.py` with the client's side of a test; false where Python's drivers are not installed.
    pub fn python(&self, case: &str, user: User<'_>) -> bool {
        let Some(python) = python() else {
            println!("SKIPPED (no psycopg: `make tools` installs it)");
            return false;
        };
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/it/postgres/clients.py");
        let output = Command::new(python)
            .arg(script)
            .args([case, &self.port.to_string(), user.name, user.token, &self.pid().to_string()])
            .env("MARGINALIA", env!("CARGO_BIN_EXE_marginalia"))
            .env("MARGINALIA_CORPUS", self.bench.corpus())
            .env("MARGINALIA_HTTP", &self.http)
            .output()
            .expect("Python runs");
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{case}: {said}");
        print!("{said}");
        true
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Dead already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a client printed; it must have ended well.
pub fn good(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What a client complained of; it must have failed.
pub fn bad(output: &Output) -> String {
    assert!(!output.status.success(), "it worked: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

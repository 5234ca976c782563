//! moto, an S3 server, in a process of its own; tests of the pipeline start it from here too.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A server with one bucket, `faces`; ends with this value.
pub struct Moto {
    pub child: Child,
    port: u16,
}

impl Moto {
    /// Starts it; says so where there is none to start.
    pub fn start() -> Option<Self> {
        let Some(python) = python() else {
            println!("SKIPPED (no S3 server: `make tools` installs moto)");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../store/tests/it/remote/server.py");
        let mut child = Command::new(python)
            .arg(script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the S3 server");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its stdout")).read_line(&mut line).expect("its port");
        Some(Self { port: line.trim().parse().expect("a port"), child })
    }

    /// Lets the process find it in its environment.
    pub fn show(&self, command: &mut Command) {
        command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python that has moto, where the Makefile puts it.
fn python() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let python = binary.ancestors().nth(3)?.join("s3/venv/bin/python");
    python.exists().then_some(python)
}

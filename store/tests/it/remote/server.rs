//! The server, and processes that find it in their environment.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::scenes::{SCENE, Scene};
use super::{exists, kill};

/// moto in a process of its own; ends with this value.
pub struct Server {
    child: Child,
    port: u16,
}

impl Server {
    /// Starts it; says so where there is none to start.
    pub fn start() -> Option<Self> {
        let Some(python) = python() else {
            println!("SKIPPED (no S3 server: `make tools` installs moto)");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/remote/server.py");
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

    /// From now on conditions on writes are ignored.
    pub fn forget_conditions(&self) {
        kill_process(Pid::from_child(&self.child), Signal::USR1).expect("a signal");
    }

    /// Starts a process that plays the scene on the machine whose cache this folder is.
    pub fn play(&self, scene: Scene, machine: &Path) -> Playing {
        let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
        command.args(["--exact", "remote::scenes::plays_when_asked", "--nocapture", "--test-threads=1"]);
        command.env(SCENE, serde_json::to_string(&scene).expect("a scene"));
        command.env("MARGINALIA_CACHE", machine);
        command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test").env("AWS_REGION", "us-east-1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let out = BufReader::new(child.stdout.take().expect("its stdout"));
        Playing { scene, child, out, said: String::new() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        kill(&mut self.child);
    }
}

/// A scene that is being played.
pub struct Playing {
    scene: Scene,
    child: Child,
    out: BufReader<ChildStdout>,
    said: String,
}

impl Playing {
    /// Waits for its end; its exit code, and what it said.
    pub fn end(mut self) -> (Option<i32>, String) {
        let mut errors = self.child.stderr.take().expect("its stderr");
        let errors = std::thread::spawn(move || {
            let mut text = String::new();
            let _ = errors.read_to_string(&mut text);
            text
        });
        let _ = self.out.read_to_string(&mut self.said);
        let code = self.child.wait().expect("its end").code();
        (code, format!("{}\n{}", self.said, errors.join().unwrap_or_default()))
    }

    /// Waits for its good end; what it said.
    pub fn finish(self) -> String {
        let scene = self.scene;
        let (code, said) = self.end();
        assert_eq!(code, Some(0), "{scene:?}: {said}");
        said
    }

    /// Waits until it says this.
    pub fn wait_for(&mut self, word: &str) {
        while !self.said.contains(word) {
            assert!(self.out.read_line(&mut self.said).expect("its stdout") > 0, "{:?}: {}", self.scene, self.said);
        }
    }

    /// Stops it where it is, as a machine that sleeps does.
    pub fn sleep(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub fn wake(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("a signal");
    }

    /// Kills it.
    pub fn kill(mut self) {
        kill(&mut self.child);
    }

    /// Kills it once it has said this.
    pub fn kill_after(mut self, word: &str) {
        self.wait_for(word);
        self.kill();
    }
}

/// The Python that has moto, where the Makefile puts it.
fn python() -> Option<PathBuf> {
    let binary = std::env::current_exe().ok()?;
    let target = binary.ancestors().nth(3)?;
    exists(&target.join("s3/venv/bin/python")).map(Path::to_owned)
}

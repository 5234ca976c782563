//! The server, and processes that find it in their environment.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::moto::Moto;
use super::scenes::{SCENE, Scene};

/// A store for the machines of one test.
pub struct Server(Moto);

impl Server {
    /// Starts it; says so where there is none to start.
    pub fn start() -> Option<Self> {
        Moto::start().map(Self)
    }

    /// From now on conditions on writes are ignored.
    pub fn forget_conditions(&self) {
        kill_process(Pid::from_child(&self.0.child), Signal::USR1).expect("a signal");
    }

    /// Starts a process that plays the scene on the machine whose cache this folder is.
    pub fn play(&self, scene: Scene, machine: &Path) -> Playing {
        let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
        command.args(["--exact", "remote::scenes::plays_when_asked", "--nocapture", "--test-threads=1"]);
        command.env(SCENE, serde_json::to_string(&scene).expect("a scene"));
        command.env("MARGINALIA_CACHE", machine);
        self.0.show(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("a process");
        let out = BufReader::new(child.stdout.take().expect("its stdout"));
        Playing { scene, child, out, said: String::new() }
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
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills it once it has said this.
    pub fn kill_after(mut self, word: &str) {
        self.wait_for(word);
        self.kill();
    }
}

//! `demo`: what it shows when its rounds are over.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::binary::Bench;

/// A demo that leaves with the test.
struct Demo(Child);

impl Drop for Demo {
    fn drop(&mut self) {
        // Otherwise it has ended already.
        let _ = self.0.kill();
    }
}

fn get(address: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(address).unwrap();
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_page_is_shown_on_the_corpus_of_the_demo() {
    let bench = Bench::new();
    // In place of the user's browser: notes what it is asked to show.
    let (bin, asked) = (bench.path("bin"), bench.path("asked"));
    std::fs::create_dir(&bin).unwrap();
    let script = format!("#!/bin/sh\nprintf %s \"$1\" > '{0}.new'\nmv '{0}.new' '{0}'\n", asked.display());
    for name in ["xdg-open", "open"] {
        std::fs::write(bin.join(name), &script).unwrap();
        std::fs::set_permissions(bin.join(name), PermissionsExt::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut command = bench.command(&["demo", "--rounds", "0", "--open"]);
    command.env("PATH", path).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut demo = Demo(command.spawn().unwrap());
    let lines = BufReader::new(demo.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut words = lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
    let page = words.find(|word| word.starts_with("http://")).expect("the address of the page");
    let address = page.trim_start_matches("http://").trim_end_matches('/');

    let status = get(address, "/api/status");
    assert!(status.starts_with("HTTP/1.1 200") && status.contains("\"faces\":350"), "{status}");
    if Path::new(env!("CARGO_MANIFEST_DIR")).join("../labeling-ui/web/dist/index.html").exists() {
        assert!(get(address, "/").starts_with("HTTP/1.1 200"));
    } else {
        println!("SKIPPED (no page in this build)");
    }
    for _ in 0..6000 {
        if asked.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(std::fs::read_to_string(&asked).expect("the browser was asked to show something"), page);

    kill_process(Pid::from_child(&demo.0), Signal::INT).unwrap();
    assert!(demo.0.wait().unwrap().success());
}

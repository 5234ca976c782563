//! kill -9 at random moments of ingest, labelling and training: what was acknowledged is there, once, and no half round
//! shows. `MARGINALIA_KILLS` sets how many moments; a few are enough for every run of the suite.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::Child;
use std::time::Duration;

use rand::{Rng, SeedableRng};

use crate::binary::{Bench, write_faces, write_labelled};

fn kill(mut child: Child) {
    // Dead already is as good.
    let _ = child.kill();
    child.wait().expect("the child is waited for");
}

/// A memory group of its own for a process, under either version of control groups; removed when dropped.
struct MemoryGroup(std::path::PathBuf);

impl MemoryGroup {
    fn new(megabytes: u64) -> Option<Self> {
        let version_one = std::path::Path::new("/sys/fs/cgroup/memory");
        let (parent, limit) = match version_one.is_dir() {
            true => (version_one, "memory.limit_in_bytes"),
            false => (std::path::Path::new("/sys/fs/cgroup"), "memory.max"),
        };
        let group = Self(parent.join(format!("marginalia-{}-{megabytes}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join(limit), format!("{megabytes}M")).ok()?;
        Some(group)
    }
}

impl Drop for MemoryGroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.0);
    }
}

/// Under `make torture`: the kernel ends the process when its memory is used up, at whatever it is doing.
#[test]
fn a_process_killed_for_its_memory_loses_nothing() {
    if std::env::var_os("MARGINALIA_TORTURE").is_none() {
        return;
    }
    let bench = Bench::new();
    let inbox = bench.path("inbox");
    write_faces(&inbox, 3, 0..6000);
    let mut killed = 0;
    for megabytes in (16..=56).step_by(2) {
        let Some(group) = MemoryGroup::new(megabytes) else {
            println!("SKIPPED (no control group for memory): a_process_killed_for_its_memory_loses_nothing");
            return;
        };
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$0\" ingest \"$1\"", group.0.display());
        let status = std::process::Command::new("sh")
            .args(["-c", &script, env!("CARGO_BIN_EXE_marginalia"), inbox.to_str().unwrap()])
            .env("MARGINALIA_CORPUS", bench.corpus())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap();
        killed += u32::from(std::os::unix::process::ExitStatusExt::signal(&status) == Some(9));
        bench.ok(&["verify"]);
    }
    bench.ok(&["ingest", inbox.to_str().unwrap()]);
    assert_eq!(bench.count("select count(*) from faces"), 6000);
    assert_eq!(bench.count("select count(distinct source) from sightings"), 6000);
    assert!(killed > 3, "only {killed} kills: the limits are too high");
    println!("{killed} kills for memory: 6000 faces, none lost, none twice");
}

#[test]
fn nothing_acknowledged_is_lost_by_kill_9() {
    let kills: u64 = std::env::var("MARGINALIA_KILLS").map_or(4, |kills| kills.parse().expect("a number"));
    let seed: u64 = std::env::var("MARGINALIA_KILL_SEED").map_or(7, |seed| seed.parse().expect("a number"));
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    println!("seed {seed}, {kills} kills: repeat with MARGINALIA_KILL_SEED={seed} MARGINALIA_KILLS={kills}");
    let bench = Bench::new();
    // Rounds for few faces, and maintenance all the time: whatever can be under way is.
    let config = bench.corpus().join("marginalia.toml");
    let busy = [
        ("trigger_new_faces = 1000", "trigger_new_faces = 30"),
        ("maintenance_every_seconds = 60", "maintenance_every_seconds = 1"),
        ("cleanup_every_seconds = 300", "cleanup_every_seconds = 1"),
    ];
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, busy.iter().fold(text, |text, (from, to)| text.replace(from, to))).unwrap();
    write_labelled(&bench.path("labelled"), 1, 70);
    bench.ok(&["import", "imagefolder", bench.path("labelled").to_str().unwrap()]);
    let inbox = bench.path("inbox");
    std::fs::create_dir_all(&inbox).unwrap();
    let mut written = 0;
    let mut acknowledged: BTreeSet<String> = BTreeSet::new();
    for moment in 0..kills {
        write_faces(&inbox, 3, written..written + 40);
        written += 40;
        // Everything in one process, or in two.
        let mut processes = match moment % 2 {
            0 => vec![bench.start(&["run", inbox.to_str().unwrap(), "--stream", "ingest", "--addr", "127.0.0.1:0"])],
            _ => vec![
                bench.start(&["ingest", inbox.to_str().unwrap(), "--watch"]),
                bench.start(&["train", "--seed", "1"]),
            ],
        };
        // Labels one after the other, each by a process of its own that prints its id once it is acknowledged.
        let faces = bench.sql("select face_id from faces order by face_id limit 3");
        let labels: Vec<Child> = faces
            .iter()
            .map(|row| {
                bench.start(&["label", row["face_id"].as_str().unwrap(), "fear", "--annotator", "ada", "--json"])
            })
            .collect();
        std::thread::sleep(Duration::from_millis(random.random_range(0..2500)));
        processes.drain(..).for_each(kill);
        for mut label in labels {
            let out = label.stdout.take().expect("piped");
            let _ = label.kill();
            label.wait().expect("waited for");
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                let value: serde_json::Value = serde_json::from_str(&line).expect("one document a line");
                acknowledged.insert(value["label_id"].as_str().expect("an id").to_owned());
            }
        }
        bench.ok(&["verify"]);
        let half = "select count(*) from (select round from predictions union select round from epochs union \
                    select round from margins) p left anti join rounds r on p.round = r.round";
        assert_eq!(bench.count(half), 0, "half a round shows after kill {moment}");
    }
    // The next start goes on by itself.
    bench.ok(&["ingest", inbox.to_str().unwrap()]);
    bench.ok(&["train", "--seed", "1"]);
    bench.ok(&["verify"]);
    assert_eq!(bench.count("select count(*) from faces where stream = 'ingest'"), written);
    assert_eq!(bench.count("select count(distinct face_id) from faces where stream = 'ingest'"), written);
    assert_eq!(bench.count("select count(distinct source) from sightings where dataset = 'ingest'"), written);
    let stored: BTreeSet<String> = bench
        .sql("select label_id from labels where annotator = 'ada'")
        .iter()
        .map(|row| row["label_id"].as_str().unwrap().to_owned())
        .collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and gone: {lost:?}");
    let per_round = "select count(*) from (select round from rounds group by round having count(*) > 1)";
    assert_eq!(bench.count(per_round), 0);
    println!("{kills} kills: {written} faces and {} labels acknowledged, none lost, none twice", acknowledged.len());
}

//! A watcher that goes on: what comes later is found with hints, without them, and when they are lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use marginalia::config::Poll;
use marginalia::watch::{Found, HintKind, Hints, Inbox, NoHints, WatchSettings, Watcher};
use tokio_util::sync::CancellationToken;

use super::{Folder, Forgetful, Memory, next, next_key, settings};

#[tokio::test]
async fn watching_finds_what_comes_later() {
    let folder = Folder::new();
    folder.write("before.jpg", b"before");
    let mut watcher = folder.watch(Memory::default());
    assert_eq!(folder.next_file(&mut watcher).await, "before.jpg");

    folder.write("written.jpg", b"written");
    assert_eq!(folder.next_file(&mut watcher).await, "written.jpg");

    folder.write("upload.part", b"renamed into place");
    fs::rename(folder.path("upload.part"), folder.path("renamed.jpg")).unwrap();
    assert_eq!(folder.next_file(&mut watcher).await, "renamed.jpg");

    let elsewhere = Folder::new();
    elsewhere.write("x.jpg", b"moved");
    fs::rename(elsewhere.path("x.jpg"), folder.path("moved.jpg")).unwrap();
    assert_eq!(folder.next_file(&mut watcher).await, "moved.jpg");

    folder.write("before.jpg", b"written over");
    assert_eq!(folder.next_file(&mut watcher).await, "before.jpg");

    fs::hard_link(folder.path("moved.jpg"), folder.path("linked.jpg")).unwrap();
    assert_eq!(folder.next_file(&mut watcher).await, "linked.jpg");
}

#[tokio::test]
async fn new_folders_are_walked_whole_and_every_file_comes_once() {
    let folder = Folder::new();
    let mut watcher = folder.watch(Forgetful);
    folder.until_scanned(&mut watcher).await;

    let mut expected = BTreeSet::new();
    for class in ["anger", "fear", "joy"] {
        for i in 0..150 {
            let name = format!("train/{class}/deep/er/{i:03}.jpg");
            folder.write(&name, name.as_bytes());
            expected.insert(name);
        }
    }
    let elsewhere = Folder::new();
    elsewhere.write("in/side.jpg", b"moved with its folder");
    fs::rename(elsewhere.path("in"), folder.path("moved")).unwrap();
    expected.insert("moved/side.jpg".to_owned());

    let mut found = Vec::new();
    while found.len() < expected.len() {
        found.push(folder.next_file(&mut watcher).await);
    }
    // A last file marks the end: whatever came twice has come before it.
    folder.write("last.jpg", b"last");
    loop {
        match folder.next_file(&mut watcher).await {
            name if name == "last.jpg" => break,
            name => found.push(name),
        }
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[tokio::test]
async fn a_growing_file_comes_once_and_whole() {
    let folder = Folder::new();
    let mut watcher = folder.watch(Forgetful);
    folder.until_scanned(&mut watcher).await;

    let mut slow = File::create(folder.path("slow.jpg")).unwrap();
    let mut renamed = File::create(folder.path("renamed.part")).unwrap();
    for piece in 0..8 {
        slow.write_all(&[piece; 100]).unwrap();
        renamed.write_all(&[piece; 10]).unwrap();
        if piece == 4 {
            fs::rename(folder.path("renamed.part"), folder.path("renamed.jpg")).unwrap();
        }
        // Several times the stillness that would do without a writer.
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    drop((slow, renamed));
    let mut sizes = BTreeMap::new();
    for _ in 0..2 {
        let key = next_key(&mut watcher).await;
        sizes.insert(folder.name(&key.path), key.size);
    }
    assert_eq!(sizes, BTreeMap::from([("renamed.jpg".to_owned(), 80), ("slow.jpg".to_owned(), 800)]));
}

#[tokio::test]
async fn lost_hints_and_no_hints_at_all_lose_no_file() {
    let folder = Folder::new();
    let (script, inbox) = Script::new(Ok(()));
    let mut watcher = Watcher::with_hints(
        &[folder.root()],
        settings(true),
        Box::new(script),
        Memory::default(),
        CancellationToken::new(),
    )
    .unwrap();
    folder.until_scanned(&mut watcher).await;
    let inbox = inbox.lock().unwrap().clone().expect("the watcher asks for hints before its first scan");

    // Nothing tells of this file: only the loss of some notice does.
    folder.write("unseen.jpg", b"unseen");
    inbox.lost();
    assert_eq!(folder.next_file(&mut watcher).await, "unseen.jpg");

    // More hints than the inbox holds, all of them about nothing: it scans instead.
    folder.write("flooded.jpg", b"flooded");
    (0..40_000).for_each(|i| inbox.hint(folder.path(&format!("ghost-{i}.jpg")), HintKind::Complete));
    assert_eq!(folder.next_file(&mut watcher).await, "flooded.jpg");

    // Hints end: polling takes over, and says so.
    inbox.gone(NoHints("too many folders".to_owned()));
    let why = degraded(&mut watcher).await;
    assert!(why.starts_with("too many folders; the folders are walked every 0.05 s"), "{why}");
    folder.write("polled.jpg", b"polled");
    assert_eq!(folder.next_file(&mut watcher).await, "polled.jpg");
}

#[tokio::test]
async fn hints_outside_the_roots_or_about_ignored_names_are_nothing() {
    let folder = Folder::new();
    let outside = Folder::new();
    outside.write("other.jpg", b"other");
    let (script, inbox) = Script::new(Ok(()));
    let token = CancellationToken::new();
    let mut watcher =
        Watcher::with_hints(&[folder.root()], settings(true), Box::new(script), Memory::default(), token).unwrap();
    folder.until_scanned(&mut watcher).await;
    let inbox = inbox.lock().unwrap().clone().unwrap();
    folder.write(".cache/x.jpg", b"x");
    folder.write("y.tmp", b"y");
    folder.write("good.jpg", b"good");
    for path in [outside.path("other.jpg"), folder.path(".cache/x.jpg"), folder.path("y.tmp"), folder.path("good.jpg")]
    {
        inbox.hint(path, HintKind::Complete);
    }
    assert_eq!(folder.next_file(&mut watcher).await, "good.jpg");
}

#[tokio::test]
async fn without_change_notices_the_watcher_polls() {
    for poll in [Poll::Always, Poll::Auto] {
        let folder = Folder::new();
        let (script, inbox) = Script::new(Err(NoHints("no notices here".to_owned())));
        let settings = WatchSettings { poll, ..settings(true) };
        let mut watcher = Watcher::with_hints(
            &[folder.root()],
            settings,
            Box::new(script),
            Memory::default(),
            CancellationToken::new(),
        )
        .unwrap();
        if poll == Poll::Auto {
            assert!(degraded(&mut watcher).await.starts_with("no notices here"));
        }
        folder.until_scanned(&mut watcher).await;
        assert_eq!(inbox.lock().unwrap().is_some(), poll == Poll::Auto, "whether hints were asked for");
        folder.write("deep/er/1.jpg", b"1");
        assert_eq!(folder.next_file(&mut watcher).await, "deep/er/1.jpg");
        folder.write("deep/er/1.jpg", b"changed");
        assert_eq!(folder.next_file(&mut watcher).await, "deep/er/1.jpg");
    }
}

#[tokio::test]
async fn a_root_that_goes_and_comes_back_is_watched_again() {
    let folder = Folder::new();
    folder.write("root/1.jpg", b"1");
    let settings = WatchSettings { scan_every: Duration::from_millis(50), ..settings(true) };
    let token = CancellationToken::new();
    let mut watcher = Watcher::new(&[folder.path("root")], settings, Memory::default(), token).unwrap();
    assert_eq!(folder.next_file(&mut watcher).await, "root/1.jpg");
    fs::remove_dir_all(folder.path("root")).unwrap();
    let gone = loop {
        if let Found::Unreadable { path, .. } = next(&mut watcher).await.expect("goes on") {
            break path;
        }
    };
    assert_eq!(folder.name(&gone), "root");
    folder.write("root/2.jpg", b"2");
    assert_eq!(folder.next_file(&mut watcher).await, "root/2.jpg");
}

#[tokio::test]
async fn a_slow_caller_gets_everything_once() {
    let folder = Folder::new();
    (0..4000).for_each(|i| folder.write(&format!("{:02}/{i}.jpg", i % 40), b"face"));
    let mut watcher = folder.watch(Forgetful);
    // Nothing is taken while more arrive than any queue in there holds.
    (4000..6000).for_each(|i| folder.write(&format!("{:02}/{i}.jpg", i % 50), b"face"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut found = BTreeSet::new();
    while found.len() < 6000 {
        assert!(found.insert(folder.next_file(&mut watcher).await), "sent twice");
    }
}

/// Hints by hand.
struct Script {
    inbox: Arc<Mutex<Option<Inbox>>>,
    answer: Result<(), NoHints>,
}

impl Script {
    fn new(answer: Result<(), NoHints>) -> (Self, Arc<Mutex<Option<Inbox>>>) {
        let inbox = Arc::new(Mutex::new(None));
        (Self { inbox: Arc::clone(&inbox), answer }, inbox)
    }
}

impl Hints for Script {
    fn watch(&mut self, _: &[PathBuf], inbox: &Inbox) -> Result<(), NoHints> {
        *self.inbox.lock().unwrap() = Some(inbox.clone());
        self.answer.clone()
    }
}

async fn degraded(watcher: &mut Watcher) -> String {
    loop {
        if let Found::Degraded { why } = next(watcher).await.expect("the watcher goes on") {
            return why;
        }
    }
}

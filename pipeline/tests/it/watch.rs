//! The watcher on real folders: every file once and whole, whatever happens around it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use marginalia::config::{IngestConfig, Poll};
use marginalia::error::exit_code;
use marginalia::watch::{
    AlreadySeen, FileKey, Found, HintKind, Hints, Inbox, NoHints, Skip, Taken, WatchSettings, Watcher, take,
};
use tokio_util::sync::CancellationToken;

/// Far longer than anything here takes: only a hang reaches it.
const HANG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_single_scan_finds_every_file_in_order_and_ends() {
    let folder = Folder::new();
    let names = ["a.jpg", "b/1.png", "b/2.png", "b/c/3.jpg", "d.jpg"];
    for name in names.iter().rev() {
        folder.write(name, name.as_bytes());
    }
    // Past the stillness that is asked of files without a known writer: nothing has to be waited for.
    tokio::time::sleep(Duration::from_millis(300)).await;
    let mut watcher = Watcher::new(&[folder.root()], settings(false), Forgetful, CancellationToken::new()).unwrap();
    let (found, skipped) = folder.drain(&mut watcher).await;
    assert_eq!(found, names);
    assert_eq!(skipped, BTreeMap::new());
}

#[tokio::test]
async fn what_is_no_file_is_skipped_with_a_reason_and_nothing_is_followed() {
    let outside = Folder::new();
    outside.write("secret.jpg", b"secret");
    let folder = Folder::new();
    folder.write("good.jpg", b"good");
    folder.write(".hidden.jpg", b"hidden");
    folder.write("half.part", b"half");
    folder.write(".git/objects/1.jpg", b"ignored");
    folder.write("folder.jpg/inside.jpg", b"inside");
    symlink(outside.path("secret.jpg"), folder.path("link.jpg")).unwrap();
    symlink(outside.root(), folder.path("linked-folder")).unwrap();
    symlink(folder.root(), folder.path("loop")).unwrap();
    symlink(folder.path("nowhere"), folder.path("broken.jpg")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.path("pipe.jpg"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let _socket = UnixListener::bind(folder.path("socket.jpg")).unwrap();

    let (found, skipped) = folder.scan(&Memory::default()).await;
    assert_eq!(found, ["folder.jpg/inside.jpg", "good.jpg"]);
    let expected = [
        (".git", Skip::Ignored),
        (".hidden.jpg", Skip::Ignored),
        ("broken.jpg", Skip::Link),
        ("folder.jpg", Skip::Folder),
        ("half.part", Skip::Ignored),
        ("link.jpg", Skip::Link),
        ("linked-folder", Skip::Link),
        ("loop", Skip::Link),
        ("pipe.jpg", Skip::Pipe),
        ("socket.jpg", Skip::Socket),
    ];
    assert_eq!(skipped, expected.map(|(path, why)| (path.to_owned(), why.to_string())).into());
}

#[tokio::test]
async fn only_new_and_changed_files_are_sent_again() {
    let folder = Folder::new();
    (0..2500).for_each(|i| folder.write(&format!("{i:04}.jpg"), b"face"));
    let memory = Memory::default();
    assert_eq!(folder.scan(&memory).await.0.len(), 2500);
    assert!(folder.scan(&memory).await.0.is_empty());

    folder.write("0007.jpg", b"another face");
    folder.write("new.jpg", b"new");
    fs::rename(folder.path("0008.jpg"), folder.path("moved.jpg")).unwrap();
    assert_eq!(folder.scan(&memory).await.0, ["0007.jpg", "moved.jpg", "new.jpg"]);
    let largest = memory.batches.lock().unwrap().iter().copied().max();
    assert!(
        largest.is_some_and(|largest| (100..=1024).contains(&largest)),
        "asked in batches, the largest {largest:?}"
    );
}

#[tokio::test]
async fn roots_may_be_files_or_overlap() {
    let folder = Folder::new();
    folder.write("a/1.jpg", b"1");
    folder.write("a/b/2.jpg", b"2");
    folder.write("single.jpg", b"3");
    symlink(folder.path("a"), folder.path("alias")).unwrap();
    let roots = ["a/b", "alias", "a", "single.jpg"].map(|name| folder.path(name));
    let mut watcher = Watcher::new(&roots, settings(false), Memory::default(), CancellationToken::new()).unwrap();
    let found: BTreeSet<_> = folder.drain(&mut watcher).await.0.into_iter().collect();
    assert_eq!(found, ["a/1.jpg", "a/b/2.jpg", "single.jpg"].map(str::to_owned).into());

    let start = |roots: &[PathBuf]| Watcher::new(roots, settings(true), Memory::default(), CancellationToken::new());
    let missing = start(&[folder.path("nowhere")]).err().unwrap();
    assert!(missing.to_string().contains("nowhere: no such file or folder"), "{missing}");
    assert_eq!(exit_code(&missing), 2);
    assert!(start(&[]).is_err());
}

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
async fn a_single_scan_waits_for_a_file_that_grows() {
    let folder = Folder::new();
    folder.write("still.jpg", b"still");
    let mut growing = File::create(folder.path("growing.jpg")).unwrap();
    growing.write_all(b"first").unwrap();
    let mut watcher = Watcher::new(
        &[folder.root()],
        WatchSettings { settle: Duration::from_millis(200), ..settings(false) },
        Memory::default(),
        CancellationToken::new(),
    )
    .unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        growing.write_all(b" more").unwrap();
    }
    let mut sizes = BTreeMap::new();
    while let Some(found) = next(&mut watcher).await {
        if let Found::File(key) = found {
            assert_eq!(sizes.insert(folder.name(&key.path), key.size), None, "sent twice");
        }
    }
    assert_eq!(sizes, BTreeMap::from([("growing.jpg".to_owned(), 35), ("still.jpg".to_owned(), 5)]));
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

#[tokio::test]
async fn a_changed_file_handed_back_comes_again() {
    let folder = Folder::new();
    folder.write("face.jpg", b"face");
    let mut watcher = folder.watch(Forgetful);
    let first = next_key(&mut watcher).await;
    assert!(watcher.again().look(first.path.clone()));
    assert_eq!(next_key(&mut watcher).await, first);

    let mut single =
        Watcher::new(&[folder.root()], settings(false), Memory::default(), CancellationToken::new()).unwrap();
    folder.drain(&mut single).await;
    assert!(!single.again().look(first.path), "a single scan that has ended cannot look again");
}

#[tokio::test]
async fn the_token_ends_it() {
    let folder = Folder::new();
    (0..3000).for_each(|i| folder.write(&format!("{i}.jpg"), b"face"));
    let token = CancellationToken::new();
    let mut watcher = Watcher::new(&[folder.root()], settings(true), Memory::default(), token.clone()).unwrap();
    assert!(next(&mut watcher).await.is_some());
    token.cancel();
    // What was in the queue may still come; then it ends, though nobody took the rest.
    while next(&mut watcher).await.is_some() {}
}

#[tokio::test]
async fn what_cannot_be_read_is_told_once_and_comes_when_it_can() {
    use std::os::unix::fs::PermissionsExt;
    if rustix::process::geteuid().is_root() {
        // Nothing is unreadable to root; what reading makes of a file that fails is tested with `take` below.
        eprintln!("not run as root: what_cannot_be_read_is_told_once_and_comes_when_it_can");
        return;
    }
    let folder = Folder::new();
    folder.write("locked.jpg", b"locked");
    folder.write("shut/in.jpg", b"in");
    let mode = |name: &str, mode| fs::set_permissions(folder.path(name), fs::Permissions::from_mode(mode)).unwrap();
    mode("locked.jpg", 0o000);
    mode("shut", 0o000);
    let mut watcher = folder.watch(Forgetful);
    let mut unreadable = BTreeSet::new();
    while unreadable.len() < 2 {
        match next(&mut watcher).await.unwrap() {
            Found::Unreadable { path, .. } => assert!(unreadable.insert(folder.name(&path)), "told twice"),
            Found::ScanComplete { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(unreadable, BTreeSet::from(["locked.jpg".to_owned(), "shut".to_owned()]));
    mode("locked.jpg", 0o644);
    assert_eq!(folder.next_file(&mut watcher).await, "locked.jpg");
    mode("shut", 0o755);
    assert_eq!(folder.next_file(&mut watcher).await, "shut/in.jpg");
}

#[tokio::test]
async fn taking_is_whole_or_not_at_all() {
    let folder = Folder::new();
    folder.write("face.jpg", b"0123456789");
    let mut watcher = folder.watch(Memory::default());
    let key = next_key(&mut watcher).await;

    assert!(matches!(take(&key, 10), Taken::Whole(bytes) if bytes == b"0123456789"));
    assert!(matches!(take(&key, 9), Taken::TooLarge { bytes: 10 }));

    folder.write("face.jpg", b"0123456789 and more");
    assert!(matches!(take(&key, 100), Taken::Changed));
    fs::remove_file(&key.path).unwrap();
    assert!(matches!(take(&key, 100), Taken::Gone));
    symlink("/etc/passwd", &key.path).unwrap();
    assert!(matches!(take(&key, 100), Taken::Gone), "a link in its place is not followed");
}

#[cfg(target_os = "linux")]
#[test]
fn taking_tells_of_bytes_that_cannot_be_read() {
    use std::os::unix::fs::MetadataExt;
    // A file that opens and whose first byte fails to read, for root as for anybody.
    let path = PathBuf::from("/proc/self/mem");
    let metadata = fs::metadata(&path).unwrap();
    let key = FileKey { path, size: metadata.size(), mtime: metadata.modified().unwrap(), inode: metadata.ino() };
    let taken = take(&key, 100);
    assert!(matches!(taken, Taken::Unreadable(_)), "{taken:?}");
}

/// Remembers every key it was asked for, as a caller does that takes everything it is given.
#[derive(Clone, Default)]
struct Memory {
    taken: Arc<Mutex<HashSet<FileKey>>>,
    batches: Arc<Mutex<Vec<usize>>>,
}

impl AlreadySeen for Memory {
    async fn seen(&self, batch: &[FileKey]) -> Vec<bool> {
        self.batches.lock().unwrap().push(batch.len());
        let mut taken = self.taken.lock().unwrap();
        batch.iter().map(|key| !taken.insert(key.clone())).collect()
    }
}

/// A memory that knows nothing, so that what comes once does so by the watcher's own doing.
struct Forgetful;

impl AlreadySeen for Forgetful {
    async fn seen(&self, batch: &[FileKey]) -> Vec<bool> {
        vec![false; batch.len()]
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

fn settings(watch: bool) -> WatchSettings {
    WatchSettings {
        settle: Duration::from_millis(20),
        poll_every: Duration::from_millis(50),
        ..WatchSettings::new(&IngestConfig::default(), watch)
    }
}

async fn next(watcher: &mut Watcher) -> Option<Found> {
    tokio::time::timeout(HANG, watcher.next()).await.expect("the watcher hangs")
}

async fn next_key(watcher: &mut Watcher) -> FileKey {
    loop {
        match next(watcher).await.expect("the watcher goes on") {
            Found::File(key) => return key,
            Found::Unreadable { path, error } => panic!("{}: {error}", path.display()),
            _ => {}
        }
    }
}

async fn degraded(watcher: &mut Watcher) -> String {
    loop {
        if let Found::Degraded { why } = next(watcher).await.expect("the watcher goes on") {
            return why;
        }
    }
}

struct Folder {
    // Not under a name that begins with a dot, which the default settings would pass over in a parent too.
    folder: tempfile::TempDir,
}

impl Folder {
    fn new() -> Self {
        Self { folder: tempfile::Builder::new().prefix("watched").tempdir().unwrap() }
    }

    fn root(&self) -> PathBuf {
        self.folder.path().canonicalize().unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn name(&self, path: &Path) -> String {
        path.strip_prefix(self.root()).unwrap().to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn watch(&self, seen: impl AlreadySeen) -> Watcher {
        Watcher::new(&[self.root()], settings(true), seen, CancellationToken::new()).unwrap()
    }

    /// The files and skips of a single scan, sorted.
    async fn scan(&self, memory: &Memory) -> (Vec<String>, BTreeMap<String, String>) {
        let token = CancellationToken::new();
        let mut watcher = Watcher::new(&[self.root()], settings(false), memory.clone(), token).unwrap();
        let (mut files, skipped) = self.drain(&mut watcher).await;
        files.sort();
        (files, skipped)
    }

    async fn drain(&self, watcher: &mut Watcher) -> (Vec<String>, BTreeMap<String, String>) {
        let (mut files, mut skipped, mut complete) = (Vec::new(), BTreeMap::new(), 0);
        while let Some(found) = next(watcher).await {
            match found {
                Found::File(key) => files.push(self.name(&key.path)),
                Found::Skipped { path, why } => {
                    skipped.insert(self.name(&path), why.to_string());
                }
                Found::ScanComplete { .. } => complete += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(complete, 1, "a single scan is complete once");
        (files, skipped)
    }

    async fn until_scanned(&self, watcher: &mut Watcher) -> Vec<String> {
        let mut files = Vec::new();
        loop {
            match next(watcher).await.expect("the watcher goes on") {
                Found::File(key) => files.push(self.name(&key.path)),
                Found::ScanComplete { .. } => return files,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn next_file(&self, watcher: &mut Watcher) -> String {
        self.name(&next_key(watcher).await.path)
    }
}

//! The watcher on real folders: every file once and whole, whatever happens around it.

mod watching;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use marginalia::config::IngestConfig;
use marginalia::error::exit_code;
use marginalia::watch::{AlreadySeen, FileKey, Found, Skip, Taken, WatchSettings, Watcher, take};
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

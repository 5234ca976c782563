//! One commit of each kind, in a process of its own.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use marginalia_store::log::{Change, IndexKind};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::{Corpus, FailPoints, Options, RoundWriter, SqlRuntime, TableId, VerifyOptions};

use super::supervise::{ACK, GO};
use crate::commits::{face, label};
use crate::rounds;
use crate::slt::CLASSES;

/// A kind of commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Label,
    Face,
    Round,
    Compact,
    Delete,
    Index,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Label, Self::Face, Self::Round, Self::Compact, Self::Delete, Self::Index];
}

const KIND: &str = "MARGINALIA_TEST_COMMIT";
const ROOT: &str = "MARGINALIA_TEST_ROOT";
const SYNC: &str = "MARGINALIA_TEST_SYNC";

/// Labels before the commit; one more after it, or one less.
const LABELS: u32 = 12;

/// The process that makes one commit of this kind in the corpus.
pub fn command(kind: Kind, root: &Path, sync: bool) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test's binary"));
    command.args(["--exact", "durability::child::commits_when_asked", "--nocapture", "--test-threads=1"]);
    command.env(KIND, format!("{kind:?}")).env(ROOT, root).env(SYNC, sync.to_string());
    command
}

fn options(sync: bool) -> Options {
    Options { sync, reserve_bytes: 0, ..Options::default() }
}

/// A small corpus in which every kind of commit has something to do.
pub async fn prepare(root: &Path) {
    let corpus = Corpus::init(root, &CLASSES.map(str::to_owned), options(true)).await.expect("a corpus");
    corpus.writer::<Face>().append(vec![face(b"a"), face(b"b"), face(b"c")]).await.expect("faces");
    for i in 0..LABELS {
        corpus.writer::<Label>().append(vec![label(i, &face(b"a").face_id)]).await.expect("a label");
    }
}

async fn commit(kind: Kind, corpus: &Corpus) {
    let log = corpus.log().clone();
    let change = |table, change| async move { log.commit(table, change).await.map(drop) };
    let done = match kind {
        Kind::Label => corpus.writer().append(vec![label(LABELS, &face(b"b").face_id)]).await.map(drop),
        Kind::Face => corpus.writer().append(vec![face(b"d")]).await.map(drop),
        Kind::Round => {
            let writer = match RoundWriter::resume(corpus).await.expect("a round") {
                Some(writer) => writer,
                None => RoundWriter::begin(corpus, rounds::plan()).await.expect("a round"),
            };
            rounds::write(writer, true).await.map(drop)
        }
        Kind::Compact => change(TableId::Labels, Change::Compact { target_rows: 1000, every_deletion: false }).await,
        Kind::Delete => change(TableId::Labels, Change::Delete("label_id LIKE '%000000000003'".into())).await,
        Kind::Index => {
            let index = Change::Index { column: "face_id", kind: IndexKind::BTree, rebuild: false };
            change(TableId::Labels, index).await
        }
    };
    done.unwrap_or_else(|error| panic!("{kind:?}: {error}"));
}

/// Not a test of its own: what [`command`] starts.
#[test]
fn commits_when_asked() {
    let Ok(kind) = std::env::var(KIND) else { return };
    let kind = Kind::ALL.into_iter().find(|known| format!("{known:?}") == kind);
    let root = PathBuf::from(std::env::var_os(ROOT).expect("a corpus"));
    let sync = std::env::var(SYNC).is_ok_and(|sync| sync == "true");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let corpus = Corpus::open(&root, options(sync)).await.expect("an open corpus");
        match kind {
            Some(kind) => {
                say(GO);
                commit(kind, &corpus).await;
                say(ACK);
            }
            None => stream(&corpus).await,
        }
    });
}

/// The process that adds labels and faces in turn without end, and prints the number of each once it is acknowledged.
pub fn streamer(root: &Path, sync: bool) -> Command {
    let mut command = command(Kind::Label, root, sync);
    command.env(KIND, "stream");
    command
}

async fn stream(corpus: &Corpus) {
    for i in 1000.. {
        let (labels, faces) = (corpus.writer::<Label>(), corpus.writer::<Face>());
        let row = label(i, &face(b"a").face_id);
        let (label, face) = tokio::join!(labels.append(vec![row]), faces.append(vec![face(&streamed_image(i))]));
        // The disk is gone: so is this process, soon.
        let (Ok(_), Ok(_)) = (label, face) else { return };
        say(&format!("{i}\n"));
    }
}

/// A number, and bytes that nothing compresses.
fn streamed_image(i: u32) -> Vec<u8> {
    let mut image = i.to_le_bytes().to_vec();
    image.resize(16 << 10, 0);
    blake3::Hasher::new().update(&i.to_le_bytes()).finalize_xof().fill(&mut image[4..]);
    image
}

/// Numbers of the streamed rows that stand in both tables, in order.
pub async fn streamed(root: &Path) -> Result<Vec<u32>, String> {
    let corpus = Corpus::open(root, options(true)).await.map_err(|error| error.to_string())?;
    let snapshot = corpus.snapshot().await.map_err(|error| error.to_string())?;
    let labels = snapshot.rows::<Label>(None).await.map_err(|error| error.to_string())?;
    let faces = snapshot.rows::<Face>(None).await.map_err(|error| error.to_string())?;
    let number = |label: &Label| label.label_id.rsplit('-').next().and_then(|n| n.parse::<u32>().ok()).unwrap_or(0);
    let mut found: Vec<u32> = labels.iter().map(number).filter(|n| *n >= 1000).collect();
    found.retain(|n| faces.iter().any(|face| face.image == streamed_image(*n)));
    found.sort_unstable();
    Ok(found)
}

fn say(text: &str) {
    // One write each: the supervisor looks for them.
    let mut stdout = std::io::stdout();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).expect("stdout");
}

/// Whether what the commit makes is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    labels: u64,
    faces: u64,
    rounds: usize,
}

pub fn before() -> State {
    State { labels: LABELS.into(), faces: 3, rounds: 0 }
}

pub fn after(kind: Kind) -> State {
    match kind {
        Kind::Label => State { labels: u64::from(LABELS) + 1, ..before() },
        Kind::Face => State { faces: 4, ..before() },
        Kind::Round => State { rounds: 1, ..before() },
        Kind::Delete => State { labels: u64::from(LABELS) - 1, ..before() },
        Kind::Compact | Kind::Index => before(),
    }
}

/// Opens the corpus as the next start would and reads everything back.
pub async fn read_back(root: &Path) -> Result<State, String> {
    let corpus = Corpus::open(root, Options { fail_points: FailPoints::default(), ..options(true) })
        .await
        .map_err(|error| format!("does not open: {error}"))?;
    let sql = SqlRuntime::new().map_err(|error| error.to_string())?;
    let report = corpus.verify(&sql, VerifyOptions::default(), &mut |_, _| {}).await;
    let report = report.map_err(|error| format!("does not read: {error}"))?;
    if !report.is_clean() {
        return Err(format!("{:?}", report.findings));
    }
    let snapshot = corpus.snapshot().await.map_err(|error| error.to_string())?;
    let count = async |table| snapshot.count(table, None).await.map_err(|error| error.to_string());
    Ok(State {
        labels: count(TableId::Labels).await?,
        faces: count(TableId::Faces).await?,
        rounds: snapshot.rounds().len(),
    })
}

/// After a commit that died: old or new, nothing else, and new where it was acknowledged; and work goes on.
pub async fn check(kind: Kind, root: &Path, acknowledged: bool) -> Result<(), String> {
    let state = read_back(root).await?;
    if state != after(kind) && (acknowledged || state != before()) {
        return Err(format!("{state:?} after {kind:?}, acknowledged: {acknowledged}"));
    }
    let corpus = Corpus::open(root, options(true)).await.map_err(|error| error.to_string())?;
    let row = label(99, &face(b"c").face_id);
    corpus.writer().append(vec![row]).await.map_err(|error| format!("cannot be written to: {error}"))?;
    Ok(())
}

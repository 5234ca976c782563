//! What the processes do that share a corpus in an object store.

use std::path::Path;
use std::time::{Duration, Instant};

use marginalia_store::locks::{Lock, Purpose};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::{
    Care, Corpus, Dedup, Effort, Error, Options, RoundWriter, Session, SqlLimits, SqlRuntime, TableId, Timestamp,
    VerifyOptions, restore,
};
use serde::{Deserialize, Serialize};

use crate::commits::{face, label};
use crate::rounds;
use crate::slt::CLASSES;

/// The variable that names the scene.
pub const SCENE: &str = "MARGINALIA_TEST_SCENE";

const URI: &str = "s3://faces/corpora/one";

/// What a process is to do.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Scene {
    Init,
    InitAnother,
    Append,
    Write { first: u32, seconds: u64, dedup: Dedup },
    Compact { dedup: Dedup },
    CompactOnce,
    HoldCare,
    Count,
    CountInViews,
    MoveHouse,
    Round,
    HoldRound,
    TakeRound,
    Look,
    Forget,
}

/// Not a test of its own: what a server's processes play.
#[test]
fn plays_when_asked() {
    let Ok(scene) = std::env::var(SCENE) else { return };
    // The runner has begun a line.
    println!();
    let scene: Scene = serde_json::from_str(&scene).expect("a scene");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    if let Err(error) = runtime.block_on(play(scene)) {
        panic!("{error}");
    }
}

async fn play(scene: Scene) -> Result<(), Error> {
    match scene {
        Scene::Init => init(URI).await.map(drop),
        Scene::InitAnother => init("s3://faces/corpora/another").await.map(drop),
        Scene::Append => open().await?.writer().append(vec![face(b"late")]).await.map(drop),
        Scene::Write { first, seconds, dedup } => write(first, Duration::from_secs(seconds), dedup).await,
        Scene::Compact { dedup } => compact(dedup).await,
        Scene::CompactOnce => open().await?.care(Care { effort: Effort::Thorough, ..Care::default() }).await.map(drop),
        Scene::HoldCare => hold_care().await,
        Scene::Count => count().await,
        Scene::CountInViews => count_in_views().await,
        Scene::MoveHouse => move_house().await,
        Scene::Round => round(&open().await?).await,
        Scene::HoldRound => {
            let writer = RoundWriter::begin(&open().await?, rounds::plan()).await?;
            hold(writer).await
        }
        Scene::TakeRound => match RoundWriter::resume(&open().await?).await? {
            Some(writer) => hold(writer).await,
            None => panic!("the round is not known any more"),
        },
        Scene::Look => look().await,
        Scene::Forget => forget().await,
    }
}

async fn init(uri: &str) -> Result<Corpus, Error> {
    Corpus::init(Path::new(uri), &CLASSES.map(str::to_owned), Options::default()).await
}

async fn open() -> Result<Corpus, Error> {
    open_with(Dedup::default()).await
}

async fn open_with(dedup: Dedup) -> Result<Corpus, Error> {
    Corpus::open(Path::new(URI), Options { dedup, ..Options::default() }).await
}

/// The image of a number.
fn image(number: u32) -> Vec<u8> {
    let mut image = number.to_le_bytes().to_vec();
    image.resize(1500, 0);
    blake3::Hasher::new().update(&number.to_le_bytes()).finalize_xof().fill(&mut image[4..]);
    image
}

/// Appends until the time is up: each second face also comes from a neighbour at about the same time.
async fn write(first: u32, time: Duration, dedup: Dedup) -> Result<(), Error> {
    let corpus = open_with(dedup).await?;
    let announced = corpus.announce("a test");
    let (faces, labels) = (corpus.writer::<Face>(), corpus.writer::<Label>());
    let started = Instant::now();
    let mut commits = 0;
    for turn in 0.. {
        if started.elapsed() > time {
            break;
        }
        // 20 of its own, 20 shared with the neighbour.
        let shared = 1_000_000 * (1 + first / 2) + turn * 20;
        let own = 10_000_000 * (1 + first) + turn * 20;
        let numbers: Vec<u32> = (own..own + 20).chain(shared..shared + 20).collect();
        let stream = format!("stream {first}");
        let row =
            |number: &u32| Face { stream: stream.clone(), ingested_at: Timestamp::now(), ..face(&image(*number)) };
        let rows = numbers.iter().map(row).collect();
        let judged = label(own, &face(&image(own)).face_id);
        let (face, label) = tokio::join!(faces.append(rows), labels.append(vec![judged]));
        commits += face?.written.contains(&true) as u32 + 1;
        label?;
        // Also what another process wrote is there once this one is told so.
        for number in numbers {
            println!("face {number}");
        }
        println!("label {own}");
    }
    println!("commits {commits}");
    println!("conflicts {}", corpus.log().conflicts(TableId::Faces));
    announced.leave().await;
    Ok(())
}

async fn compact(dedup: Dedup) -> Result<(), Error> {
    let corpus = open_with(dedup).await?;
    loop {
        corpus.care(Care { clean_up: Some(Duration::from_secs(10)), effort: Effort::Thorough }).await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

async fn count() -> Result<(), Error> {
    let corpus = open().await?;
    let snapshot = corpus.snapshot().await?;
    let mut faces = Vec::new();
    for face in snapshot.rows::<Face>(None).await? {
        let number = face.image.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
        assert_eq!(face.image, image(number), "an image is not what was written");
        faces.push(number);
    }
    faces.sort_unstable();
    for number in faces {
        println!("face {number}");
    }
    let number = |label: &Label| label.label_id.rsplit('-').next().and_then(|n| n.parse::<u32>().ok());
    let mut labels: Vec<u32> = snapshot.rows::<Label>(None).await?.iter().filter_map(number).collect();
    labels.sort_unstable();
    for number in labels {
        println!("label {number}");
    }
    is_clean(&corpus).await
}

/// Faces by the views, where each stands once whatever the table holds; then in the table, where each does after
/// maintenance.
async fn count_in_views() -> Result<(), Error> {
    let (sql, corpus) = (SqlRuntime::new()?, open_with(Dedup::View).await?);
    let session = Session::open(&sql, corpus.snapshot().await?, SqlLimits::default()).await?;
    let doubled = "select count(*) as n from (select face_id from unlabelled group by face_id having count(*) > 1)";
    let arrived = "select cast(sum(faces) as bigint) as n from ingest_rate";
    let distinct = "select count(distinct face_id) as n from faces";
    let [doubled, arrived, distinct] =
        [number(&session, doubled).await?, number(&session, arrived).await?, number(&session, distinct).await?];
    assert_eq!((doubled, arrived), (0, distinct), "a view shows a face twice");
    let rows = session.snapshot().count(TableId::Faces, None).await?;
    let removed = corpus.care(Care { effort: Effort::Thorough, ..Care::default() }).await?.copies;
    println!("copies {removed}");
    let left = corpus.snapshot().await?.count(TableId::Faces, None).await?;
    assert_eq!((rows - removed as u64, left), (distinct, distinct), "what is left is not one row for each face");
    // As strictly as where faces are looked up.
    count().await
}

async fn number(session: &Session, sql: &str) -> Result<u64, Error> {
    #[derive(Deserialize)]
    struct Number {
        n: u64,
    }
    let rows: Vec<Number> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    Ok(rows.first().map_or(0, |row| row.n))
}

/// Holds the right to maintenance until it finds that it has lost it.
async fn hold_care() -> Result<(), Error> {
    let lock = Lock::take(open().await?.home(), Purpose::Maintenance).await?;
    println!("held");
    loop {
        tokio::time::sleep(Duration::from_millis(200)).await;
        if let Err(lost) = lock.check() {
            println!("{lost}");
            return Ok(());
        }
    }
}

async fn is_clean(corpus: &Corpus) -> Result<(), Error> {
    let report = corpus.verify(&SqlRuntime::new()?, VerifyOptions::default(), &mut |_, _| {}).await?;
    assert!(report.is_clean(), "{:?}", report.findings);
    Ok(())
}

async fn ids(corpus: &Corpus) -> Result<Vec<String>, Error> {
    let mut ids: Vec<String> =
        corpus.snapshot().await?.rows::<Face>(None).await?.into_iter().map(|face| face.face_id).collect();
    ids.sort();
    Ok(ids)
}

/// A folder, backed up to the store, restored in the store, backed up to a folder, restored in a folder: the same.
async fn move_house() -> Result<(), Error> {
    let (sql, folder) = (SqlRuntime::new()?, tempfile::tempdir().expect("a folder"));
    let root = folder.path().join("c");
    let corpus = Corpus::init(&root, &CLASSES.map(str::to_owned), Options::default()).await?;
    std::fs::write(root.join("marginalia.toml"), "# settings").expect("a file");
    std::fs::create_dir_all(root.join("curriculum")).expect("a folder");
    std::fs::write(root.join("curriculum/queue.sql"), "-- order").expect("a file");
    corpus.writer().append((0..200).map(|i| face(&image(i))).collect()).await?;
    round(&corpus).await?;
    let copy = Path::new("s3://faces/backup");
    let first = corpus.backup(copy, &sql).await?;
    corpus.writer().append(vec![label(1, &face(&image(1)).face_id)]).await?;
    let second = corpus.backup(copy, &sql).await?;
    assert!(second.copied <= 4 && second.kept > first.copied / 2 && second.verified == 200 + 3, "{second:?}");
    restore(copy, Path::new(URI), &sql).await?;
    let moved = open().await?;
    assert_eq!(ids(&moved).await?, ids(&corpus).await?);
    assert_eq!(std::fs::read_to_string(moved.path().join("marginalia.toml")).expect("settings"), "# settings");
    // What the store does not have goes from the working folder, too.
    let stale = moved.path().join("curriculum/stale.sql");
    std::fs::write(&stale, "").expect("a file");
    let moved = open().await?;
    assert!(!stale.exists() && moved.path().join("curriculum/queue.sql").exists());
    moved.writer().append(vec![label(2, &face(&image(2)).face_id)]).await?;
    let back = folder.path().join("back");
    moved.backup(&back, &sql).await?;
    let home = folder.path().join("home");
    restore(&back, &home, &sql).await?;
    let home = Corpus::open(&home, Options::default()).await?;
    assert_eq!(ids(&home).await?, ids(&corpus).await?);
    assert_eq!(home.snapshot().await?.rows::<Label>(None).await?.len(), 2);
    assert_eq!(home.snapshot_at_round(1).await?.count(TableId::Labels, None).await?, 0);
    Ok(())
}

async fn round(corpus: &Corpus) -> Result<(), Error> {
    let writer = match RoundWriter::resume(corpus).await? {
        Some(writer) => writer,
        None => {
            corpus.writer().append(vec![face(b"a"), face(b"b"), face(b"c")]).await?;
            RoundWriter::begin(corpus, rounds::plan()).await?
        }
    };
    rounds::write(writer, true).await.map(drop)
}

async fn hold(writer: RoundWriter) -> Result<(), Error> {
    println!("held");
    tokio::time::sleep(Duration::from_secs(600)).await;
    writer.abort().await
}

async fn look() -> Result<(), Error> {
    let corpus = open().await?;
    let snapshot = corpus.snapshot_at_round(1).await?;
    let checkpoint = corpus.checkpoint(snapshot.round(1)?).await?;
    assert_eq!(std::fs::read(checkpoint.join("teacher.safetensors")).expect("the teacher"), b"weights");
    is_clean(&corpus).await
}

async fn forget() -> Result<(), Error> {
    let corpus = open().await?;
    corpus.writer().append((0..30).map(|i| face(&image(i))).collect()).await?;
    let gone = [face(&image(7)).face_id, face(b"a").face_id];
    let cost = corpus.forget(&gone, None).await?;
    assert_eq!(cost.rounds_lost, [1]);
    assert_eq!(corpus.snapshot().await?.count(TableId::Faces, None).await?, 31);
    let again = corpus.writer().append(vec![face(&image(7)), face(&image(40))]).await?;
    assert_eq!(again.written, [false, true]);
    is_clean(&corpus).await
}

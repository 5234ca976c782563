//! `bench corpus`: a corpus of any size with rounds, labels and annotators, made faster than training makes one.
//!
//! Images are synthetic and go through the real admission; predictions are drawn, not computed: every face has a class
//! that the rounds come to see more and more surely. All tables are written the way rounds and people write them, with
//! upkeep in between, which `run` does too. Told at the end: how long each round took to write, the drawing not counted,
//! and to commit.

use marginalia_datasets::{Classes, Record, Split, SyntheticFaces};
use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::epochs::Epoch;
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::margins::Margin;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::tables::queue_entries::QueueEntry;
use marginalia_store::tables::rounds::Round;
use marginalia_store::tables::sightings::Sighting;
use marginalia_store::{
    Care, Corpus, FEATURE_LENGTH, Feature, RoundPlan, RoundWriter, TableId, Timestamp, write_whole,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;

use super::timed;
use crate::admitting::admit_record;
use crate::console::{Console, Opened};
use crate::error::{Error, Result};
use crate::import::sighting_row;
use crate::round::RANGE;

/// Pictures that differ; all others are these with other bytes behind them.
const PICTURES: u64 = 4096;
/// Faces in one commit; predictions come as many at a time as a round scores.
const COMMIT: usize = 16 * 1024;
/// The margin of every class.
const MARGIN: f32 = 0.8;
/// Places of a queue that are written.
const QUEUE: usize = 1000;

/// Arguments of `bench corpus`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Faces
    #[arg(long, default_value_t = 1_000_000)]
    pub faces: u64,
    /// Rounds that scored all of them
    #[arg(long, default_value_t = 5)]
    pub rounds: u32,
    /// Judgements, before the rounds and between them
    #[arg(long, default_value_t = 50_000)]
    pub labels: u64,
    /// People who gave them
    #[arg(long, default_value_t = 5)]
    pub annotators: u64,
    /// Features of the last round
    #[arg(long, default_value_t = 200_000)]
    pub features: usize,
    /// Side of the faces, pixels
    #[arg(long, default_value_t = 48)]
    pub side: u32,
}

/// Seconds of a round.
#[derive(Default, Serialize)]
struct Seconds {
    /// From its plan to its queue.
    writing: f64,
    /// Its marker, and what comes with it.
    commit: f64,
}

/// Runs `bench corpus`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let known = opened.corpus.snapshot().await?.count(TableId::Faces, None).await?;
    if known > 0 {
        return Err(Error::HasFaces { corpus: opened.corpus.home().place(), faces: known });
    }
    let ids = faces(&opened, &args).await?;
    let parts = u64::from(args.rounds) + 1;
    let mut rounds = Vec::new();
    for part in 0..parts {
        let labels = args.labels * part / parts..args.labels * (part + 1) / parts;
        opened.corpus.writer::<Label>().append(judgements(&opened.corpus, &ids, labels, &args)).await?;
        if part > 0 {
            let features = if part + 1 == parts { args.features } else { 0 };
            rounds.push(round(&opened, &ids, part as u32, features).await?);
        }
        opened.corpus.care(Care::default()).await?;
    }
    let value = json!({ "faces": ids.len(), "rounds": args.rounds, "labels": args.labels, "round_seconds": rounds });
    console.print(&value, |_| format!("{} faces, {} rounds, {} labels", ids.len(), args.rounds, args.labels))
}

/// Writes the faces with their sightings; returns their ids.
async fn faces(opened: &Opened, args: &Args) -> Result<Vec<String>> {
    let (count, classes) = (args.faces, Classes::standard());
    let pictures: Vec<Vec<u8>> = (0..PICTURES.min(count.max(1)))
        .into_par_iter()
        .map(|n| SyntheticFaces::new(1, args.side, &classes).face(n).png())
        .collect();
    let limits = opened.config.ingest.limits();
    let mut ids = Vec::with_capacity(count as usize);
    for begin in (0..count).step_by(COMMIT) {
        let now = opened.corpus.log().now();
        let end = (begin + COMMIT as u64).min(count);
        let admitted: Vec<_> = (begin..end)
            .into_par_iter()
            .filter_map(|n| admit_record(record(&pictures, n), &limits, now).ok())
            .collect();
        let mut sightings = Vec::with_capacity(admitted.len());
        let mut rows: Vec<Face> = Vec::with_capacity(admitted.len());
        for one in admitted {
            sightings.push(sighting_row(one.record, Some(one.face.face_id.clone()), now));
            ids.push(one.face.face_id.clone());
            rows.push(one.face);
        }
        opened.corpus.writer::<Face>().append(rows).await?;
        opened.corpus.writer::<Sighting>().append(sightings).await?;
    }
    Ok(ids)
}

/// One picture, with its number behind it so that its content is like no other's.
fn record(pictures: &[Vec<u8>], n: u64) -> Record {
    let mut image = pictures[(n % pictures.len() as u64) as usize].clone();
    image.extend_from_slice(&n.to_le_bytes());
    // One face in fifty is held out.
    let split = n.is_multiple_of(50).then_some(Split::Validation);
    Record {
        source: format!("synthetic/{n:08}.png"),
        dataset: "synthetic".into(),
        size: image.len() as u64,
        image,
        split,
        ..Record::default()
    }
}

/// The class of a face: all that people and rounds say of it is drawn around this.
fn class_of(n: usize, classes: usize) -> usize {
    // As uneven as faces are: half of them in the first two classes.
    let place = (n * 7919) % 100;
    if place < 50 { place % 2.min(classes) } else { place % classes }
}

fn judgements(corpus: &Corpus, ids: &[String], numbers: std::ops::Range<u64>, args: &Args) -> Vec<Label> {
    let classes = corpus.classes();
    let now = corpus.log().now();
    numbers
        .map(|number| {
            let mut random = StdRng::seed_from_u64(number);
            // Three in four faces are judged by one, the others by two people after one another.
            let face = ((number - u64::from(number % 4 == 3)) as usize * 31) % ids.len().max(1);
            let right = class_of(face, classes.len());
            let class = if random.random::<f32>() < 0.85 { right } else { random.random_range(0..classes.len()) };
            Label {
                label_id: format!("00000000-0000-7000-8000-{number:012x}"),
                face_id: ids[face].clone(),
                expression: (number % 100 != 99).then(|| classes[class].clone()),
                verdict: (number % 100 == 99).then(|| "not_a_face".to_owned()),
                votes: None,
                annotator: format!("annotator-{}", number % args.annotators.max(1)),
                origin: "human".into(),
                lane: "queue".into(),
                round: None,
                suggestion: None,
                source: None,
                note: None,
                request_key: None,
                request_hash: None,
                seconds: Some(random.random_range(0.5..5.0)),
                created_at: Timestamp(now.0 + number as i64),
                retracts: None,
            }
        })
        .collect()
}

/// Writes a round: predictions of every face, the top of its queue, margins, its marker.
async fn round(opened: &Opened, ids: &[String], number: u32, features: usize) -> Result<Seconds> {
    let plan = RoundPlan {
        round: 0,
        method: "drawn".into(),
        seed: number.into(),
        config: "{}".into(),
        curriculum: "{}".into(),
        trigger: "manual".into(),
        read_versions: Default::default(),
        started_at: Timestamp::default(),
    };
    let mut seconds = Seconds::default();
    let writing = &mut seconds.writing;
    let writer = timed(writing, RoundWriter::begin(&opened.corpus, plan)).await?;
    let classes = opened.corpus.classes();
    timed(writing, writer.write_epochs(vec![epoch(number, ids.len())], margins(number, classes))).await?;
    let now = opened.corpus.log().now();
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_unstable_by(|a, b| ids[*a].cmp(&ids[*b]));
    let (mut queue, mut subset_one) = (Vec::new(), 0);
    for chunk in order.chunks(RANGE as usize) {
        let rows: Vec<Prediction> =
            chunk.par_iter().map(|face| prediction(number, *face, &ids[*face], classes, now)).collect();
        subset_one += rows.iter().filter(|row| row.subset == "I").count() as u64;
        let room = QUEUE - queue.len();
        queue.extend(rows.iter().filter(|row| row.subset == "II").take(room).map(|row| row.face_id.clone()));
        let wanted = chunk.iter().filter(|face| **face < features);
        let embeddings: Vec<Embedding> = wanted
            .map(|face| Embedding {
                round: number,
                face_id: ids[*face].clone(),
                feature: feature(*face, classes.len()),
            })
            .collect();
        timed(writing, writer.write_embeddings(embeddings)).await?;
        timed(writing, writer.write_predictions(rows)).await?;
    }
    let entries = (1..).zip(queue).map(|(rank, face_id)| QueueEntry {
        round: number,
        face_id,
        rank,
        lane: "queue".into(),
        expression: None,
        reason: "drawn".into(),
    });
    timed(writing, writer.write_queue(entries.collect())).await?;
    let (folder, weights) = (writer.folder(), b"drawn, not trained");
    write_whole(&folder.join("teacher.safetensors"), weights)?;
    let mut marker = marker(ids.len() as u64, subset_one);
    marker.checkpoint = format!("checkpoints/{}", folder.file_name().unwrap_or_default().to_string_lossy());
    marker.checkpoint_hash = blake3::hash(weights).to_hex().to_string();
    timed(&mut seconds.commit, writer.commit(marker)).await?;
    Ok(seconds)
}

fn prediction(round: u32, face: usize, face_id: &str, classes: &[String], now: Timestamp) -> Prediction {
    let mut random = StdRng::seed_from_u64((u64::from(round) << 40) | face as u64);
    let right = class_of(face, classes.len());
    // Later rounds err less and are surer.
    let errs = random.random::<f32>() < 0.4 / round as f32;
    let class = if errs { random.random_range(0..classes.len()) } else { right };
    let confidence = (0.3 + 0.05 * round as f32 + random.random::<f32>() * 0.5).min(0.999);
    let rest = (1.0 - confidence) / (classes.len() - 1).max(1) as f32;
    let probabilities: Vec<f32> = (0..classes.len()).map(|c| if c == class { confidence } else { rest }).collect();
    Prediction {
        round,
        face_id: face_id.to_owned(),
        expression: classes[class].clone(),
        confidence,
        margin: MARGIN,
        subset: if confidence >= MARGIN { "I" } else { "II" }.to_owned(),
        entropy: -probabilities.iter().map(|p| if *p > 0.0 { p * p.ln() } else { 0.0 }).sum::<f32>(),
        top2_gap: confidence - rest,
        mutual_information: None,
        probabilities,
        calibrated_confidence: Some(confidence * 0.95),
        scored_at: now,
    }
}

/// A direction of the class's with noise, of length 1.
fn feature(face: usize, classes: usize) -> Feature {
    let mut random = StdRng::seed_from_u64(face as u64);
    let mut values: Vec<f32> = (0..FEATURE_LENGTH).map(|_| random.random_range(-1.0..1.0)).collect();
    values[class_of(face, classes)] += 20.0;
    let norm = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= norm);
    Feature::from_f32(&values)
}

fn margins(round: u32, classes: &[String]) -> Vec<Margin> {
    let margin = |class: &String| Margin {
        round,
        epoch: 1,
        t: 1,
        expression: class.clone(),
        mean_confidence: Some(MARGIN),
        margin: MARGIN,
        right_count: 100,
    };
    classes.iter().map(margin).collect()
}

fn epoch(round: u32, faces: usize) -> Epoch {
    Epoch {
        round,
        epoch: 1,
        steps: 1,
        loss: 1.0,
        loss_supervised: 1.0,
        loss_unlabelled: 0.0,
        loss_contrastive: 0.0,
        learning_rate: 5e-4,
        acceptance_rate: 0.5,
        subset_one: faces as u64 / 2,
        subset_two: faces as u64 / 2,
        labelled_accuracy: 0.5,
        validation_accuracy: Some(0.5),
        validation_macro_f1: Some(0.5),
        validation_nll: None,
        validation_brier: None,
        validation_ece: None,
        validation_ece_equal_mass: None,
        temperature: None,
        seconds: 1.0,
        finished_at: Timestamp::now(),
    }
}

fn marker(scored: u64, subset_one: u64) -> Round {
    Round {
        round: 0,
        method: String::new(),
        seed: 0,
        config: String::new(),
        curriculum: String::new(),
        read_versions: String::new(),
        written_versions: String::new(),
        trigger: String::new(),
        labelled: 0,
        unlabelled: scored,
        pool: scored,
        scored,
        subset_one,
        subset_two: scored - subset_one,
        validation: 0,
        validation_accuracy: Some(0.5),
        validation_macro_f1: Some(0.5),
        validation_best_macro_f1: Some(0.5),
        temperature: None,
        accepted: true,
        gate: "drawn, not trained".into(),
        checkpoint: String::new(),
        checkpoint_hash: String::new(),
        started_at: Timestamp::default(),
        finished_at: Timestamp::default(),
    }
}

//! Half an hour of twenty people on one queue, sixty times as fast: they take faces by the handful, think, say what
//! they see or that they cannot tell, and some walk away with faces in their hands.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use marginalia_labeling_ui::Gate;
use marginalia_labeling_ui::api::Limits;
use marginalia_store::tables::faces::Face;
use marginalia_store::{Care, Options};
use serde_json::{Value, json};

use crate::bench::{Bench, face};

const PEOPLE: u64 = 20;
const FACES: u32 = 1000;
const LEASE: Duration = Duration::from_secs(1);
const HANDFUL: usize = 5;

#[derive(Default)]
struct Watch {
    /// Who has a face, and until when at least.
    held: HashMap<String, (u64, Instant)>,
    /// When the first request that a face was an answer to was sent.
    first_asked: HashMap<String, Instant>,
    /// The last face of the untouched ones in an answer, with when the answer came.
    reached: Vec<(usize, Instant)>,
}

struct Shift {
    bench: Bench,
    /// Place of each face in the queue before anybody came.
    place: BTreeMap<String, usize>,
    watch: Mutex<Watch>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_people_for_half_an_hour() {
    let options = Options { judgements_per_face: 2, ..Options::default() };
    let limits = Limits { lease: LEASE, ..Limits::default() };
    let bench = Bench::made(options, limits, Gate::Loopback).await;
    let rows: Vec<Face> = (0..FACES).map(|n| face(&n.to_le_bytes())).collect();
    bench.corpus.writer::<Face>().append(rows).await.unwrap();
    let place = bench.queue().await.into_iter().enumerate().map(|(place, face)| (face, place)).collect();
    let shift = Arc::new(Shift { bench, place, watch: Mutex::default() });
    let care = tokio::spawn(keep_in_order(shift.clone()));
    let people: Vec<_> = (0..PEOPLE).map(|person| tokio::spawn(work(shift.clone(), person))).collect();
    for person in people {
        person.await.unwrap();
    }
    care.abort();
    let bench = &shift.bench;
    assert_eq!(bench.queue().await.len(), 0);
    let exact = "select count(*) from (select face_id from labels where expression is not null group by face_id \
                 having count(*) = 2 and count(distinct annotator) = 2)";
    assert_eq!(bench.count(exact).await, u64::from(FACES));
    assert_eq!(bench.count("select count(*) from labels where expression is not null").await, 2 * u64::from(FACES));
    shift.assert_in_order();
}

/// As every process does that serves a corpus: each label is a commit.
async fn keep_in_order(shift: Arc<Shift>) {
    loop {
        tokio::time::sleep(LEASE).await;
        shift.bench.corpus.care(Care::default()).await.unwrap();
    }
}

/// Until there is nothing left that this person could say.
async fn work(shift: Arc<Shift>, person: u64) {
    for step in 0.. {
        let asked = Instant::now();
        let served = shift.bench.get(&format!("/api/queue?annotator=p{person}&limit={HANDFUL}")).await.json();
        let faces = shift.note(person, asked, &served);
        if faces.is_empty() {
            match served["nothing"]["reason"].as_str() {
                Some("with_others") => tokio::time::sleep(LEASE / 10).await,
                _ => return,
            }
        }
        for (number, face_id) in faces.iter().enumerate() {
            let dice = dice(&(person, step, number));
            if dice.is_multiple_of(40) {
                // Away for two minutes, without a word.
                tokio::time::sleep(LEASE * 2).await;
                break;
            }
            tokio::time::sleep(LEASE * (5 + (dice % 20) as u32) / 60).await;
            shift.judge(person, face_id, dice, &faces[number..]).await;
        }
    }
}

impl Shift {
    /// Nobody else has any of them, and they stand in the order of the queue.
    fn note(&self, person: u64, asked: Instant, served: &Value) -> Vec<String> {
        let came = Instant::now();
        let mut watch = self.watch.lock().unwrap();
        let mut order = Vec::new();
        let tasks = served["tasks"].as_array().unwrap();
        let faces: Vec<String> = tasks.iter().map(|task| task["face_id"].as_str().unwrap().to_owned()).collect();
        for (face_id, task) in faces.iter().zip(tasks) {
            if let Some((other, until)) = watch.held.insert(face_id.clone(), (person, asked + LEASE)) {
                assert!(other == person || until <= came, "{face_id} is with {other} and {person}");
            }
            watch.first_asked.entry(face_id.clone()).or_insert(asked);
            let is_begun = task["reason"].as_str().is_some_and(|reason| reason.starts_with("judged by"));
            // What was begun comes first, in the order in which it was.
            order.push(if is_begun { None } else { Some(self.place[face_id]) });
        }
        assert!(order.is_sorted(), "{order:?}");
        if let Some(Some(place)) = order.last() {
            watch.reached.push((*place, came));
        }
        faces
    }

    /// Says what is seen, with a sign of life for the rest of the handful; the same of a face whoever sees it.
    async fn judge(&self, person: u64, face_id: &str, dice: u64, rest: &[String]) {
        let annotator = format!("p{person}");
        let asked = Instant::now();
        let beat = json!({ "annotator": annotator, "face_ids": rest });
        let kept = self.bench.post("/api/leases", beat).await.json();
        let is_held = |face: &&String| kept["held"].as_array().unwrap().contains(&json!(face));
        {
            let mut watch = self.watch.lock().unwrap();
            for face in rest.iter().filter(is_held) {
                watch.held.insert(face.clone(), (person, asked + LEASE));
            }
            if !rest[..1].iter().any(|face| is_held(&face)) {
                return;
            }
            watch.held.remove(face_id);
        }
        let said = match dice % 10 {
            0 => json!({ "face_id": face_id, "verdict": "unsure", "annotator": annotator }),
            1 => json!({ "face_id": face_id, "verdict": "skip", "annotator": annotator }),
            _ => json!({ "face_id": face_id, "expression": "fear", "annotator": annotator }),
        };
        self.bench.post("/api/labels", said).await.json();
    }

    /// Whenever a face was handed out that nobody had begun, all before it had been asked for.
    fn assert_in_order(&self) {
        let watch = self.watch.lock().unwrap();
        let faces: HashMap<usize, &String> = self.place.iter().map(|(face, place)| (*place, face)).collect();
        for (reached, came) in &watch.reached {
            for earlier in 0..*reached {
                let asked = watch.first_asked.get(faces[&earlier]);
                assert!(asked.is_some_and(|asked| asked <= came), "{reached} was handed out before {earlier}");
            }
        }
        assert!(watch.reached.len() > 100, "{} answers are no test", watch.reached.len());
    }
}

/// The same number for the same throw.
fn dice(throw: &(u64, u64, usize)) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(throw)
}

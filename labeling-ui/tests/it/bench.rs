//! A corpus on disk with the API in front of it, and requests as clients send them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use axum::response::Response;
use marginalia_labeling_ui::api::{Limits, Parts, router};
use marginalia_labeling_ui::{Admission, Admitted, Error, Events, Gate, Metrics, Result, Upload};
use marginalia_store::tables::faces::Face;
use marginalia_store::tables::labels::Label;
use marginalia_store::tables::predictions::Prediction;
use marginalia_store::tables::projections::Projection;
use marginalia_store::tables::queue_entries::QueueEntry;
use marginalia_store::tables::rounds::Round;
use marginalia_store::{Corpus, Options, Session, SqlLimits, SqlRuntime, Timestamp};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

pub const CLASSES: [&str; 3] = ["neutral", "happiness", "fear"];

/// A corpus and its API.
pub struct Bench {
    pub folder: tempfile::TempDir,
    pub corpus: Corpus,
    pub sql: SqlRuntime,
    pub events: Events,
    pub cancel: CancellationToken,
    pub door: Arc<Door>,
    pub router: Router,
}

impl Bench {
    pub async fn new() -> Self {
        Self::with(Limits::default(), Gate::Loopback).await
    }

    pub async fn with(limits: Limits, gate: Gate) -> Self {
        Self::made(Options::default(), limits, gate).await
    }

    /// A corpus that wants so many people to judge each face.
    pub async fn of_several(judgements_per_face: u32) -> Self {
        let options = Options { judgements_per_face, ..Options::default() };
        Self::made(options, Limits::default(), Gate::Loopback).await
    }

    /// With all of it chosen.
    pub async fn made(options: Options, limits: Limits, gate: Gate) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let classes = CLASSES.map(str::to_owned);
        let corpus = Corpus::init(&folder.path().join("corpus"), &classes, options).await.unwrap();
        Self::over(folder, corpus, SqlRuntime::new().unwrap(), limits, gate)
    }

    /// The same corpus, asked in this way.
    pub fn asked_by(self, sql: SqlRuntime) -> Self {
        Self::over(self.folder, self.corpus, sql, Limits::default(), Gate::Loopback)
    }

    /// The same corpus, opened as a new process opens it.
    pub async fn reopened(self) -> Self {
        let Self { folder, corpus, router, .. } = self;
        drop((corpus, router));
        let corpus = Corpus::open(&folder.path().join("corpus"), Options::default()).await.unwrap();
        Self::over(folder, corpus, SqlRuntime::new().unwrap(), Limits::default(), Gate::Loopback)
    }

    fn over(folder: tempfile::TempDir, corpus: Corpus, sql: SqlRuntime, limits: Limits, gate: Gate) -> Self {
        let (events, cancel) = (Events::default(), CancellationToken::new());
        let door = Arc::new(Door::new(&corpus));
        let parts = Parts {
            corpus: corpus.clone(),
            sql: sql.clone(),
            sql_limits: SqlLimits::default(),
            admission: door.clone(),
            rounds: None,
            gate,
            events: events.clone(),
            metrics: Metrics::default(),
            limits,
            cancel: cancel.clone(),
        };
        Self { folder, corpus, sql, events, cancel, door, router: router(parts) }
    }

    /// Sends a request and waits for its answer to begin.
    pub async fn begin(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Sends a request and waits for the whole answer.
    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.begin(request).await).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(to(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(to(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(json(to(Method::POST, path), &body)).await
    }

    /// Stores `count` faces; returns their ids in the order of the queue before any round.
    pub async fn faces(&self, count: u8) -> Vec<String> {
        let rows: Vec<Face> = (0..count).map(|n| face(&[n; 8])).collect();
        self.corpus.writer::<Face>().append(rows).await.unwrap();
        self.queue().await
    }

    /// The ids of the whole queue, as SQL has it.
    pub async fn queue(&self) -> Vec<String> {
        let session = self.session().await;
        let tasks = marginalia_labeling_ui::queue(&session, 100_000).await.unwrap();
        tasks.into_iter().map(|task| task.face_id).collect()
    }

    /// One number, by SQL.
    pub async fn count(&self, sql: &str) -> u64 {
        let rows: Vec<Value> = self.session().await.query(sql).await.unwrap().rows().await.unwrap();
        rows[0].as_object().unwrap().values().next().unwrap().as_u64().unwrap()
    }

    async fn session(&self) -> Session {
        Session::open(&self.sql, self.corpus.snapshot().await.unwrap(), SqlLimits::default()).await.unwrap()
    }

    /// An accepted round 1 that saw these faces: class, confidence, and its place in the queue's lane, if it has one.
    pub async fn round(&self, faces: &[(&str, &str, f32, Option<&str>)]) {
        let mut entries = Vec::new();
        let mut predictions = Vec::new();
        for (face_id, expression, confidence, lane) in faces {
            predictions.push(prediction(face_id, expression, *confidence));
            let rank = entries.len() as u32 + 1;
            entries.extend(lane.map(|lane| QueueEntry {
                round: 1,
                face_id: (*face_id).to_owned(),
                rank,
                lane: lane.to_owned(),
                expression: (lane == "audit").then(|| (*expression).to_owned()),
                reason: "test".to_owned(),
            }));
        }
        self.corpus.writer::<Prediction>().append(predictions).await.unwrap();
        if !entries.is_empty() {
            self.corpus.writer::<QueueEntry>().append(entries).await.unwrap();
        }
        self.corpus.writer::<Round>().append(vec![marker()]).await.unwrap();
    }

    /// A label that was there before round 1 ended.
    pub async fn labelled_before(&self, face_id: &str, expression: &str, annotator: &str) {
        let row = Label {
            label_id: format!("0192f0c1-0000-7000-8000-{:012}", 1),
            face_id: face_id.into(),
            expression: Some(expression.into()),
            verdict: None,
            votes: None,
            annotator: annotator.into(),
            origin: "human".into(),
            lane: "queue".into(),
            round: None,
            suggestion: None,
            source: None,
            note: None,
            request_key: None,
            request_hash: None,
            seconds: None,
            created_at: Timestamp(5),
            retracts: None,
        };
        self.corpus.writer::<Label>().append(vec![row]).await.unwrap();
    }

    /// The map of round 1.
    pub async fn places(&self, places: &[(&str, f32, f32)]) {
        let row =
            |(face_id, x, y): &(&str, f32, f32)| Projection { round: 1, face_id: (*face_id).into(), x: *x, y: *y };
        self.corpus.writer::<Projection>().append(places.iter().map(row).collect()).await.unwrap();
    }
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn header(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body of a good answer.
    pub fn json(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/json");
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The body of a problem, which has the form of all of them.
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!(
            (problem["status"].as_u64(), problem["code"].as_str()),
            (Some(status.into()), Some(code)),
            "{problem}"
        );
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        assert!(!problem["detail"].as_str().unwrap().is_empty() && problem["instance"].is_string(), "{problem}");
        problem
    }
}

/// A request as a client on this machine sends it.
pub fn to(method: Method, path: &str) -> Builder {
    Request::builder().method(method).uri(path).header(header::HOST, "127.0.0.1:7878")
}

pub fn json(builder: Builder, body: &Value) -> Request<Body> {
    builder.header(header::CONTENT_TYPE, "application/json").body(Body::from(body.to_string())).unwrap()
}

/// A face whose id is the hash of its image.
pub fn face(image: &[u8]) -> Face {
    Face {
        face_id: blake3::hash(image).to_hex().to_string(),
        image: image.to_vec(),
        format: "png".into(),
        width: 100,
        height: 80,
        stream: "test".into(),
        subject: None,
        perceptual_hash: 7,
        captured_at: None,
        ingested_at: Timestamp(1),
    }
}

fn prediction(face_id: &str, expression: &str, confidence: f32) -> Prediction {
    Prediction {
        round: 1,
        face_id: face_id.into(),
        expression: expression.into(),
        confidence,
        margin: 0.8,
        subset: if confidence >= 0.8 { "I" } else { "II" }.into(),
        probabilities: vec![0.0, confidence, 1.0 - confidence],
        entropy: 0.1,
        top2_gap: 0.2,
        mutual_information: None,
        calibrated_confidence: None,
        scored_at: Timestamp(1),
    }
}

/// The end of an accepted round 1.
pub fn marker() -> Round {
    Round {
        round: 1,
        method: "ada-cm".into(),
        seed: 1,
        config: "{}".into(),
        curriculum: "{}".into(),
        read_versions: "{}".into(),
        written_versions: "{}".into(),
        trigger: "manual".into(),
        labelled: 1,
        unlabelled: 2,
        pool: 2,
        scored: 2,
        subset_one: 1,
        subset_two: 1,
        validation: 0,
        validation_accuracy: None,
        validation_macro_f1: None,
        validation_best_macro_f1: None,
        temperature: None,
        accepted: true,
        gate: "test".into(),
        checkpoint: "checkpoints/round-00001".into(),
        checkpoint_hash: String::new(),
        started_at: Timestamp(0),
        finished_at: Timestamp(1_000_000),
    }
}

/// Stands where the pipeline decodes: takes what begins like a PNG, waits where a test wants it to, and panics on
/// demand.
pub struct Door {
    corpus: Corpus,
    /// Each admission takes one.
    pub open: Semaphore,
    /// Admissions that have begun.
    pub begun: AtomicUsize,
    /// Images that were made small.
    pub shrunk: AtomicUsize,
}

impl Door {
    fn new(corpus: &Corpus) -> Self {
        Self {
            corpus: corpus.clone(),
            open: Semaphore::new(1000),
            begun: AtomicUsize::new(0),
            shrunk: AtomicUsize::new(0),
        }
    }

    /// Returns once so many admissions have begun.
    pub async fn has_begun(&self, count: usize) {
        while self.begun.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Admission for Door {
    async fn admit(&self, uploads: Vec<Upload>) -> Result<Vec<Admitted>> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let permit = self.open.acquire().await.map_err(|_| Error::Internal { what: "a closed door".to_owned() })?;
        permit.forget();
        let mut admitted = Vec::new();
        for upload in uploads {
            assert_ne!(upload.image, b"\x89PNG panic", "as asked for");
            if !upload.image.starts_with(b"\x89PNG") {
                admitted.push(Admitted::Refused { code: "not_an_image".into(), reason: upload.source });
                continue;
            }
            let row = face(&upload.image);
            let face_id = row.face_id.clone();
            let is_new = self.corpus.writer::<Face>().append(vec![row]).await?.written[0];
            admitted.push(Admitted::Face { face_id, is_new });
        }
        Ok(admitted)
    }

    async fn thumbnail(&self, image: Vec<u8>, side: u32) -> Result<Option<Vec<u8>>> {
        self.shrunk.fetch_add(1, Ordering::SeqCst);
        Ok(Some([&side.to_le_bytes()[..], &image].concat()))
    }
}

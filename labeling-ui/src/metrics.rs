//! What a monitoring system is told: counts, durations and states, in the text format of OpenMetrics.
//!
//! In: what happens, counted where it happens; the state of the corpus, looked up when somebody asks. Out: the text of
//! `GET /metrics`. Names keep Prometheus's conventions: seconds, bytes, `_total` for what only grows.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use marginalia_store::Versions;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper bounds of an answer's duration, in seconds: from a label's commit to a long query.
const SECONDS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

type Number = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    method: String,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Judged {
    lane: String,
}

macro_rules! label_sets {
    ($($(#[doc = $doc:literal])+ $set:ident { $($label:ident),+ })+) => { $(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
        struct $set { $($label: &'static str),+ }
    )+ };
}

label_sets! {
    /// Through which door an input came, and what became of it.
    Input { door, outcome }
    /// How a round ended.
    Ended { outcome }
    /// One table.
    OfTable { table }
}

/// The counters; cheap to clone. One process has one of them.
#[derive(Clone, Default)]
pub struct Metrics {
    inner: Arc<Inner>,
}

struct Inner {
    registry: Registry,
    inputs: Family<Input, Counter>,
    scored: Counter,
    labels: Family<Judged, Counter>,
    label_seconds: Histogram,
    requests: Family<Request, Histogram>,
    rounds: Family<Ended, Counter>,
    round: Gauge,
    round_seconds: Number,
    step_seconds: Number,
    warnings: Counter,
    faces: Gauge,
    waiting: Gauge,
    versions: Family<OfTable, Gauge>,
    memory: Gauge,
}

/// The corpus and the process at the moment somebody asks.
#[derive(Clone, Debug)]
pub struct State {
    /// Distinct faces.
    pub faces: u64,
    /// Faces in the queue.
    pub waiting: u64,
    /// The last accepted round.
    pub round: Option<u32>,
    /// Every table's version.
    pub versions: Versions,
}

impl Metrics {
    /// Inputs that came through a door (`folder`, `http`), by what became of them (`new`, `repeat`, `rejected`).
    pub fn inputs(&self, door: &'static str, outcome: &'static str, count: u64) {
        self.inner.inputs.get_or_create(&Input { door, outcome }).inc_by(count);
    }

    /// A new face was scored between rounds.
    pub fn face_scored(&self) {
        self.inner.scored.inc();
    }

    /// A judgement lies on the disk.
    pub fn labelled(&self, lane: &str) {
        self.inner.labels.get_or_create(&Judged { lane: lane.to_owned() }).inc();
    }

    /// A request with judgements was acknowledged after so long.
    pub fn acknowledged(&self, after: Duration) {
        self.inner.label_seconds.observe(after.as_secs_f64());
    }

    /// A request was answered, or began to be.
    pub fn answered(&self, method: &str, route: &str, status: u16, after: Duration) {
        let request = Request { method: method.to_owned(), route: route.to_owned(), status };
        self.inner.requests.get_or_create(&request).observe(after.as_secs_f64());
    }

    /// An optimiser step takes so long, as the mean of an epoch.
    pub fn step(&self, seconds: f64) {
        self.inner.step_seconds.set(seconds);
    }

    /// A round of this process ended (`accepted`, `rejected`, `aborted`), after so many seconds where that is known.
    pub fn round_ended(&self, outcome: &'static str, seconds: Option<f64>) {
        self.inner.rounds.get_or_create(&Ended { outcome }).inc();
        if let Some(seconds) = seconds {
            self.inner.round_seconds.set(seconds);
        }
    }

    /// Somebody should look.
    pub fn warned(&self) {
        self.inner.warnings.inc();
    }

    /// All of it as text.
    pub fn text(&self, state: &State) -> Result<String, fmt::Error> {
        let inner = &self.inner;
        inner.faces.set(state.faces as i64);
        inner.waiting.set(state.waiting as i64);
        inner.round.set(state.round.unwrap_or(0).into());
        for (table, version) in &state.versions {
            inner.versions.get_or_create(&OfTable { table: table.name() }).set(*version as i64);
        }
        if let Some(bytes) = resident_bytes() {
            inner.memory.set(bytes as i64);
        }
        let mut text = String::new();
        encode(&mut text, &inner.registry)?;
        Ok(text)
    }
}

impl Default for Inner {
    fn default() -> Self {
        let seconds = || Histogram::new(SECONDS);
        let mut inner = Self {
            registry: Registry::with_prefix("marginalia"),
            inputs: Family::default(),
            scored: Counter::default(),
            labels: Family::default(),
            label_seconds: seconds(),
            requests: Family::new_with_constructor(seconds),
            rounds: Family::default(),
            round: Gauge::default(),
            round_seconds: Number::default(),
            step_seconds: Number::default(),
            warnings: Counter::default(),
            faces: Gauge::default(),
            waiting: Gauge::default(),
            versions: Family::default(),
            memory: Gauge::default(),
        };
        inner.register();
        inner
    }
}

impl Inner {
    fn register(&mut self) {
        let in_seconds = Unit::Seconds;
        let to = &mut self.registry;
        to.register("inputs", "Images that came in, by door and by what became of them", self.inputs.clone());
        to.register("faces_scored", "New faces scored between rounds", self.scored.clone());
        to.register("labels", "Judgements acknowledged over HTTP, by lane", self.labels.clone());
        let help = "Time until a request with judgements was acknowledged, on the disk";
        to.register_with_unit("label", help, in_seconds.clone(), self.label_seconds.clone());
        let help = "Time until a request's answer began";
        to.register_with_unit("http_request", help, in_seconds.clone(), self.requests.clone());
        to.register("rounds", "Rounds of this process, by how they ended", self.rounds.clone());
        to.register("current_round", "The last accepted round; 0 before the first", self.round.clone());
        let help = "Duration of this process's last round";
        to.register_with_unit("round", help, in_seconds.clone(), self.round_seconds.clone());
        let help = "Duration of an optimiser step, mean of the last epoch";
        to.register_with_unit("step", help, in_seconds, self.step_seconds.clone());
        to.register("warnings", "Warnings in this process's log", self.warnings.clone());
        to.register("faces", "Distinct faces in the corpus", self.faces.clone());
        to.register("queue_faces", "Faces that wait in the queue", self.waiting.clone());
        to.register("table_version", "Newest version of each table", self.versions.clone());
        to.register_with_unit("resident_memory", "Resident memory of this process", Unit::Bytes, self.memory.clone());
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

/// Where the system tells it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes << 10)
}

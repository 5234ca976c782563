//! The desk: hands the queue out to people, each face to one of them at a time.
//!
//! In: who asks, and for how many. Out: the top of the view `queue`, in its order, without what others have in their
//! hands and without what the one who asks has judged before; or why there is nothing. To read the top anew takes
//! longer than anybody should wait between two faces, and every label and every face that comes in changes the tables:
//! so faces are handed out from the top as it was read in the last seconds, while it is read anew behind the back of
//! whoever asks. There is one desk for a corpus, in the process that holds its queue lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use marginalia_store::tables::labels::Label;
use marginalia_store::{Session, TableId, Versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::leases::{Leases, Taken};
use crate::pictures::Pictures;
use crate::queue::{Place, Task, places, waiting};
use crate::reading::{Reading, first};

/// Places read at once: enough for a dozen people, each with the next faces fetched ahead.
const DEPTH: usize = 256;
/// Places read at once where the last reading took long: behind what the round wrote every face is put in order for the
/// first of them, and the others come with it.
const DEEP: usize = 1024;
/// From when on a reading is a long one.
const LONG: Duration = Duration::from_millis(200);
/// How long a count of the whole queue is told again before it is counted anew: that reads every face, and nobody needs
/// it to the last one.
const RECOUNT_AFTER: Duration = Duration::from_secs(10);

/// How old the top may be that faces are handed out from. What was judged here since is left out whatever its age.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How often it is read anew while people ask, at most.
const READ_EVERY: Duration = Duration::from_millis(500);
/// How much longer than a reading the pause behind it is: to read on and on would take a core from those who label.
const PAUSE: u32 = 9;

/// Hands the queue out; cheap to clone.
#[derive(Clone)]
pub struct Desk {
    reading: Reading,
    pictures: Pictures,
    term: Duration,
    leases: Arc<Mutex<Leases>>,
    top: Arc<Mutex<Option<Top>>>,
    /// Held by whoever reads the top.
    reading_top: Arc<tokio::sync::Mutex<()>>,
    /// Faces that came back so far: what was read before the last of them is not kept.
    came_back: Arc<AtomicU64>,
}

/// The top of the queue at one state of the tables.
#[derive(Clone)]
struct Top {
    session: Session,
    versions: Versions,
    places: Arc<[Place]>,
    /// Whether these are all there are.
    is_whole: bool,
    waiting: u64,
    counted: Instant,
    read: Instant,
    /// How long the reading took.
    took: Duration,
}

/// What somebody who asked for faces gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Served {
    /// The last accepted round.
    pub round: Option<u32>,
    /// Faces in the queue, those in people's hands included, as they were counted in the last seconds.
    pub waiting: u64,
    /// Of those looked at, faces that others have.
    pub with_others: usize,
    /// Seconds after which the faces go to others, unless a heartbeat comes.
    pub lease_seconds: f64,
    /// The faces, in the order of the queue.
    pub tasks: Vec<Task>,
    /// Why there are none.
    pub nothing: Option<NothingToDo>,
}

/// Why nobody is given anything.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum NothingToDo {
    /// The corpus has no faces.
    NoFaces,
    /// Every face outside the evaluation splits is labelled.
    AllLabelled,
    /// What is not labelled reached its margin.
    AllSure {
        /// How many faces.
        faces: u64,
    },
    /// What waits is in other people's hands.
    WithOthers {
        /// How many faces.
        faces: usize,
        /// When the first comes free.
        retry_after_seconds: f64,
    },
    /// What waits was judged by the one who asks, and is for others.
    JudgedBefore {
        /// How many faces.
        faces: usize,
    },
}

impl NothingToDo {
    /// What happened and what comes next.
    pub fn message(&self) -> String {
        match self {
            Self::NoFaces => "No faces yet. Upload some, or run `marginalia ingest FOLDER`.".to_owned(),
            Self::AllLabelled => "Every face is labelled. New ones stand here as soon as they come.".to_owned(),
            Self::AllSure { faces } => format!(
                "All {faces} faces without a label reached their class's margin. The next round draws some of them to be \
                 checked."
            ),
            Self::WithOthers { faces, retry_after_seconds } => format!(
                "{faces} faces are with other people right now. The first comes free in {} seconds.",
                retry_after_seconds.ceil()
            ),
            Self::JudgedBefore { faces } => {
                format!("You have judged the {faces} faces that are left. They wait for somebody else.")
            }
        }
    }
}

#[derive(Deserialize)]
struct Count {
    n: u64,
}

impl Desk {
    /// A desk that hands faces out for `term`.
    pub(crate) fn new(reading: &Reading, pictures: &Pictures, term: Duration) -> Self {
        let (leases, top, reading_top, came_back) = Default::default();
        Self { reading: reading.clone(), pictures: pictures.clone(), term, leases, top, reading_top, came_back }
    }

    /// The first `limit` faces for `annotator`, theirs until the term is over.
    pub async fn take(&self, annotator: &str, limit: usize) -> Result<Served> {
        if let Some(top) = self.known().filter(|top| top.read.elapsed() < GOOD_FOR) {
            let (taken, now) = self.take_from(&top, annotator, limit);
            if taken.tasks.len() == limit {
                self.read_anew(&top, &taken);
                return self.served(&top, taken, now).await;
            }
        }
        let (mut depth, mut since) = (DEPTH.max(limit), Instant::now());
        loop {
            let top = self.top(depth, since).await?;
            let (taken, now) = self.take_from(&top, annotator, limit);
            let has_all = taken.tasks.len() == limit || (top.is_whole && !taken.tasks.is_empty());
            if has_all || (top.is_whole && taken.judged_since == 0) {
                return self.served(&top, taken, now).await;
            }
            if top.is_whole {
                // The tables have moved on: there may be something there, or another reason why there is nothing.
                since = Instant::now();
            } else {
                depth = 4 * depth.max(top.places.len());
            }
        }
    }

    /// Faces in the queue, as they were counted in the last seconds.
    pub async fn waiting(&self) -> Result<u64> {
        Ok(self.top(DEPTH, Instant::now()).await?.waiting)
    }

    /// A heartbeat: for each face whether `annotator` still has it.
    pub fn extend(&self, annotator: &str, face_ids: &[String]) -> Vec<bool> {
        self.leases().extend(annotator, face_ids, Instant::now(), self.term)
    }

    /// A heartbeat that also takes what nobody has: for each face whether `annotator` has it.
    pub fn hold(&self, annotator: &str, face_ids: &[String]) -> Vec<bool> {
        self.leases().hold(annotator, face_ids, Instant::now(), self.term)
    }

    /// Lets go of these faces, or of all that `annotator` has; says how many.
    pub fn release(&self, annotator: &str, face_ids: Option<&[String]>) -> usize {
        self.leases().release(annotator, face_ids)
    }

    /// Notes what was judged, in this version of `labels`.
    pub fn judged(&self, labels: &[Label], version: u64) {
        self.leases().judged(labels, version, Instant::now());
    }

    /// The face as it was handed to `annotator`, if it was.
    pub fn handed(&self, annotator: &str, face_id: &str) -> Option<Task> {
        self.leases().of(annotator, face_id).and_then(|lease| lease.task.clone())
    }

    /// How long a face is handed out for.
    pub fn term(&self) -> Duration {
        self.term
    }

    /// Forgets what was read: a face has come back, and whoever took its label back wants to see it.
    pub fn taken_back(&self) {
        self.came_back.fetch_add(1, Ordering::SeqCst);
        *self.stored() = None;
    }

    fn take_from(&self, top: &Top, annotator: &str, limit: usize) -> (Taken, Instant) {
        let labels = top.versions.get(&TableId::Labels).copied().unwrap_or_default();
        let now = Instant::now();
        (self.leases().take(annotator, &top.places, labels, limit, now, self.term), now)
    }

    /// Reads the top for whoever asks next, unless that was done just now or is under way; sooner where half of it is
    /// used up, so that nobody has to wait for the next.
    fn read_anew(&self, top: &Top, taken: &Taken) {
        let is_used_up = 2 * taken.judged_since > top.places.len();
        let pause = if is_used_up { READ_EVERY } else { (PAUSE * top.took).clamp(READ_EVERY, GOOD_FOR / 2) };
        if top.read.elapsed() < pause || self.reading_top.try_lock().is_err() {
            return;
        }
        let (desk, depth) = (self.clone(), if top.took > LONG { DEEP } else { DEPTH });
        tokio::spawn(async move {
            if let Err(error) = desk.top(depth, Instant::now()).await {
                tracing::warn!("the queue cannot be read: {error}");
            }
        });
    }

    fn known(&self) -> Option<Top> {
        self.stored().clone()
    }

    fn stored(&self) -> MutexGuard<'_, Option<Top>> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn leases(&self) -> MutexGuard<'_, Leases> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first places, at least `depth` of them where there are so many, as they were at `since` or later. However
    /// many ask, and however often the tables change meanwhile, whoever waited for one reading is content with the
    /// next.
    async fn top(&self, depth: usize, since: Instant) -> Result<Top> {
        let _reading = self.reading_top.lock().await;
        let is_deep = |top: &Top| top.places.len() >= depth || top.is_whole;
        if let Some(top) = self.known().filter(|top| top.read >= since && is_deep(top)) {
            return Ok(top);
        }
        let (read, came_back) = (Instant::now(), self.came_back.load(Ordering::SeqCst));
        let session = self.reading.newest().await?;
        let versions = session.snapshot().versions();
        let before = self.known();
        let top = match before.as_ref().filter(|top| top.versions == versions && is_deep(top)) {
            Some(top) => Top { read, ..top.clone() },
            None => {
                let places = places(&session, depth).await?;
                let (is_whole, known) = (places.len() < depth, places.len() as u64);
                let (waiting, counted) = match &before {
                    _ if is_whole => (known, Instant::now()),
                    Some(before) if before.counted.elapsed() < RECOUNT_AFTER => {
                        (before.waiting.max(known), before.counted)
                    }
                    _ => (waiting(&session).await?, Instant::now()),
                };
                Top { session, versions, places: places.into(), is_whole, waiting, counted, read, took: read.elapsed() }
            }
        };
        let mut stored = self.stored();
        if self.came_back.load(Ordering::SeqCst) == came_back {
            *stored = Some(top.clone());
        }
        drop(stored);
        self.fetch(&top);
        Ok(top)
    }

    /// Has the pictures of the top ready before anybody looks at them.
    fn fetch(&self, top: &Top) {
        let (pictures, places) = (self.pictures.clone(), top.places.clone());
        tokio::spawn(async move {
            if let Err(error) = pictures.fetch(places.iter().map(|place| place.task.face_id.as_str())).await {
                tracing::debug!("the pictures of the queue's top cannot be read ahead: {error}");
            }
        });
    }

    async fn served(&self, top: &Top, taken: Taken, now: Instant) -> Result<Served> {
        let nothing = match taken.tasks.is_empty() {
            true => Some(nothing(top, &taken, now).await?),
            false => None,
        };
        Ok(Served {
            round: top.session.snapshot().current_round(),
            waiting: top.waiting,
            with_others: taken.with_others,
            lease_seconds: self.term.as_secs_f64(),
            tasks: taken.tasks.into_iter().map(Task::shown).collect(),
            nothing,
        })
    }
}

async fn nothing(top: &Top, taken: &Taken, now: Instant) -> Result<NothingToDo> {
    if let Some(free) = taken.next_free {
        let retry_after_seconds = free.saturating_duration_since(now).as_secs_f64();
        return Ok(NothingToDo::WithOthers { faces: taken.with_others, retry_after_seconds });
    }
    if taken.judged_before > 0 {
        return Ok(NothingToDo::JudgedBefore { faces: taken.judged_before });
    }
    let unlabelled: Option<Count> = first(&top.session, "select count(*) as n from unlabelled").await?;
    match unlabelled.map_or(0, |count| count.n) {
        0 if top.session.snapshot().count(TableId::Faces, None).await? == 0 => Ok(NothingToDo::NoFaces),
        0 => Ok(NothingToDo::AllLabelled),
        faces => Ok(NothingToDo::AllSure { faces }),
    }
}

//! What happens, told to every open page as it happens.
//!
//! In: things that happened, from the API, from the rounds of this process, and from a look at the tables for what others
//! committed. Out: a numbered stream. Whoever lost the connection names the last number and is told what was missed, or,
//! where that is too long ago, to look at everything anew; slow readers are told the same rather than waited for.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use marginalia_store::{Corpus, TableId, Versions};
use serde::Serialize;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// Events that a reader may miss and still be told.
const KEPT: usize = 512;
/// How often to look for what other processes committed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Tables whose changes are told.
const TOLD: [TableId; 6] =
    [TableId::Faces, TableId::Labels, TableId::Flags, TableId::Predictions, TableId::Rounds, TableId::SavedQueries];

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// Its number, from 1, with the name of this process's stream: what a reader gives back. None for what is told in
    /// passing.
    pub id: Option<String>,
    /// What kind of thing.
    pub name: Cow<'static, str>,
    /// The rest, JSON.
    pub data: String,
}

/// The hub; cheap to clone.
#[derive(Clone)]
pub struct Events {
    inner: Arc<Inner>,
}

struct Inner {
    /// Tells this process's numbers from those of one before it.
    stream: String,
    recent: Mutex<Recent>,
    sender: broadcast::Sender<Arc<Told>>,
}

#[derive(Default)]
struct Recent {
    last: u64,
    kept: VecDeque<Arc<Told>>,
}

/// A reader's place in the stream.
pub struct Reception {
    /// What it missed, oldest first; none where that is not known any more.
    pub missed: Option<Vec<Arc<Told>>>,
    /// Number of the last event before it came.
    pub last: String,
    /// What happens from now on.
    pub coming: broadcast::Receiver<Arc<Told>>,
}

impl Default for Events {
    fn default() -> Self {
        let stream = uuid::Uuid::now_v7().simple().to_string();
        let (sender, _) = broadcast::channel(KEPT);
        Self { inner: Arc::new(Inner { stream, recent: Mutex::default(), sender }) }
    }
}

impl Events {
    /// Tells everybody.
    pub fn tell(&self, name: impl Into<Cow<'static, str>>, data: &impl Serialize) {
        // What we tell are structs of ours, which are JSON.
        let Ok(data) = serde_json::to_string(data) else { return };
        let mut recent = self.recent();
        recent.last += 1;
        let told = Arc::new(Told { id: Some(self.id(recent.last)), name: name.into(), data });
        if recent.kept.len() == KEPT {
            recent.kept.pop_front();
        }
        recent.kept.push_back(told.clone());
        // An error means that nobody listens.
        let _ = self.inner.sender.send(told);
    }

    /// Tells whoever listens now: progress, which nobody asks for afterwards.
    pub fn tell_in_passing(&self, name: impl Into<Cow<'static, str>>, data: &impl Serialize) {
        if self.listeners() > 0
            && let Ok(data) = serde_json::to_string(data)
        {
            let _ = self.inner.sender.send(Arc::new(Told { id: None, name: name.into(), data }));
        }
    }

    /// Listens from now on, or from behind the event that was read last.
    pub fn listen(&self, last_read: Option<&str>) -> Reception {
        let recent = self.recent();
        let coming = self.inner.sender.subscribe();
        let missed = match last_read {
            None => Some(Vec::new()),
            Some(last) => self.since(&recent, last),
        };
        Reception { missed, last: self.id(recent.last), coming }
    }

    /// How many listen.
    pub fn listeners(&self) -> usize {
        self.inner.sender.receiver_count()
    }

    fn since(&self, recent: &Recent, last: &str) -> Option<Vec<Arc<Told>>> {
        let (stream, number) = last.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let missing = usize::try_from(recent.last.checked_sub(number)?).ok()?;
        (stream == self.inner.stream && missing <= recent.kept.len())
            .then(|| recent.kept.iter().skip(recent.kept.len() - missing).cloned().collect())
    }

    fn id(&self, number: u64) -> String {
        format!("{}-{number}", self.inner.stream)
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tables that changed, and their versions.
#[derive(Serialize)]
struct Changed<'a> {
    tables: Vec<TableId>,
    versions: &'a Versions,
}

/// Tells which tables changed, whoever changed them, until the token is cancelled; looks only while somebody listens.
pub async fn watch(corpus: Corpus, events: Events, cancel: CancellationToken) {
    let mut before: Option<Versions> = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if events.listeners() == 0 {
            // Whoever comes next looks at everything anyway.
            before = None;
            continue;
        }
        let now = match corpus.snapshot().await {
            Ok(snapshot) => snapshot.versions(),
            Err(error) => {
                tracing::warn!("cannot look at the tables: {error}");
                continue;
            }
        };
        if let Some(before) = &before {
            let changed = |table: &TableId| before.get(table) != now.get(table);
            let tables: Vec<TableId> = TOLD.into_iter().filter(changed).collect();
            if !tables.is_empty() {
                events.tell("changed", &Changed { tables, versions: &now });
            }
        }
        before = Some(now);
    }
}

//! The teachers that SQL scores with, loaded once a process.
//!
//! In: where a checkpoint lies and the hash it must have. Out: its teacher. Only checkpoints of corpora that this
//! process was told of are read, and only a teacher whose bytes have the hash is used, so that whoever names both gets
//! the same numbers on every machine. A few are kept; who asks while one is being loaded waits for it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::exec_datafusion_err;
use datafusion::error::Result;
use marginalia_store::Home;
use marginalia_trainer::Scorer;
use marginalia_trainer::checkpoint::TEACHER_FILE;

/// Teachers kept.
const KEPT: usize = 2;

type Slot = Arc<Mutex<Option<Arc<Scorer>>>>;

/// Teachers of some corpora.
#[derive(Debug)]
pub(super) struct Models {
    homes: Vec<Home>,
    /// Threads of each; 0: all cores.
    threads: usize,
    /// By hash, those asked for last in front.
    kept: Mutex<VecDeque<(String, Kept)>>,
}

/// A teacher, or the place for one that is being loaded.
#[derive(Clone, Default)]
struct Kept(Slot);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Models {
    pub fn new(homes: Vec<Home>, threads: usize) -> Self {
        Self { homes, threads, kept: Mutex::default() }
    }

    /// The teacher of the checkpoint that lies there.
    pub fn get(&self, place: &str, hash: &str) -> Result<Arc<Scorer>> {
        let (home, name) = self.locate(place)?;
        let slot = self.slot(hash);
        let mut kept = slot.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scorer) = &*kept {
            return Ok(scorer.clone());
        }
        let scorer = Arc::new(self.load(home, &name, hash)?);
        tracing::info!(place, hash, threads = self.threads, "loaded a teacher for SQL");
        *kept = Some(scorer.clone());
        Ok(scorer)
    }

    fn slot(&self, hash: &str) -> Slot {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = kept.iter().position(|(known, _)| known == hash).and_then(|place| kept.remove(place));
        let entry = entry.unwrap_or_else(|| (hash.to_owned(), Kept::default()));
        let slot = entry.1.0.clone();
        kept.push_front(entry);
        kept.truncate(KEPT);
        slot
    }

    /// The corpus that holds it, and its folder there.
    fn locate(&self, place: &str) -> Result<(&Home, String)> {
        let folder = place.trim_end_matches('/').trim_end_matches(TEACHER_FILE).trim_end_matches('/');
        let found = self.homes.iter().find_map(|home| Some((home, home.name_of(folder)?)));
        match found.filter(|(_, name)| name.starts_with("checkpoints/")) {
            Some((home, name)) => Ok((home, name.to_owned())),
            None => {
                let known: Vec<String> = self.homes.iter().map(Home::place).collect();
                Err(exec_datafusion_err!(
                    "`{place}` is no checkpoint of {}; the columns checkpoint and checkpoint_hash of rounds name some",
                    known.join(", ")
                ))
            }
        }
    }

    fn load(&self, home: &Home, name: &str, hash: &str) -> Result<Scorer> {
        bring(home, &format!("{name}/{TEACHER_FILE}"))?;
        let folder = home.folder().join(name);
        let scorer = Scorer::load_with_threads(&folder, self.threads)
            .map_err(|error| exec_datafusion_err!("the checkpoint {name} does not load: {error}"))?;
        match scorer.hash() == hash {
            true => Ok(scorer),
            false => Err(exec_datafusion_err!(
                "the checkpoint {name} has the hash {}, not {hash}: it is another one",
                scorer.hash()
            )),
        }
    }
}

/// Brings the file here, on a thread of its own: the engine's threads cannot wait for others.
fn bring(home: &Home, file: &str) -> Result<()> {
    if Path::new(&home.place()).is_absolute() {
        return Ok(());
    }
    let work = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| exec_datafusion_err!("no thread to fetch {file}: {error}"))?;
        match runtime.block_on(home.fetch(file)) {
            Ok(true) => Ok(()),
            Ok(false) => Err(exec_datafusion_err!("{} has no {file}", home.place())),
            Err(error) => Err(exec_datafusion_err!("{file} cannot be fetched: {error}")),
        }
    };
    let done = std::thread::scope(|scope| scope.spawn(work).join());
    done.unwrap_or_else(|_| Err(exec_datafusion_err!("the thread that fetched {file} panicked")))
}

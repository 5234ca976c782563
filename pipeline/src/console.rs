//! What every command shares: which corpus, which form of output.
//!
//! Results go to stdout, for people or as JSON; progress and logs go to stderr.

use std::path::{Path, PathBuf};
use std::time::Duration;

use marginalia_store::{
    Actor, Audit, Corpus, Extras, Held, Home, Moment, Options, Role, Session, SqlLimits, SqlRuntime,
};
use serde::Serialize;

use crate::cluster::{self, Address, ClusterArgs};
use crate::config::{Config, Durability, SqlConfig, find_corpus};
use crate::error::{Error, Result};
use crate::memory::Computing;
use crate::predict;
use crate::priority;
use crate::report::{Mode, Reporter, ReporterHandle};

/// Bytes of each cache, where what was read is not read again.
const READ_ONCE_CACHE: usize = 16 << 20;

/// The global arguments.
#[derive(Clone, Debug, Default)]
pub struct Console {
    /// `--corpus`.
    pub corpus: Option<PathBuf>,
    /// `--json`.
    pub json: bool,
    /// `--cluster` of the commands that have it.
    pub cluster: Option<String>,
}

/// A corpus opened with its settings.
#[derive(Clone)]
pub struct Opened {
    /// The corpus.
    pub corpus: Corpus,
    /// Its settings.
    pub config: Config,
    /// Where SQL runs.
    pub sql: SqlRuntime,
}

impl Console {
    /// The same, with the cluster that a command names.
    pub fn on(&self, args: &ClusterArgs) -> Self {
        Self { cluster: args.cluster.clone().or_else(|| self.cluster.clone()), ..self.clone() }
    }

    /// Opens the corpus that the arguments, the environment or the current folder name.
    pub async fn open(&self) -> Result<Opened> {
        Opened::with(self, &find_corpus(self.corpus.as_deref())?, |options| options, query).await
    }

    /// The settings of the corpus that lives here; what the command line names comes before them.
    pub fn config(&self, home: &Home) -> Result<Config> {
        let mut config = Config::load(home.folder())?;
        if let Some(scheduler) = &self.cluster {
            config.cluster.scheduler = scheduler.parse::<Address>().map(|_| scheduler.clone())?;
        }
        Ok(config)
    }

    /// The same for a command that reads everything once: memory keeps little of what it will not come back to.
    pub async fn open_to_read_once(&self) -> Result<Opened> {
        let lean = |options: Options| Options {
            index_cache_bytes: options.index_cache_bytes.min(READ_ONCE_CACHE),
            metadata_cache_bytes: options.metadata_cache_bytes.min(READ_ONCE_CACHE),
            ..options
        };
        Opened::with(self, &find_corpus(self.corpus.as_deref())?, lean, || Box::new(())).await
    }

    /// Starts the readers of events.
    pub fn report(&self) -> (Reporter, ReporterHandle) {
        Reporter::start(Mode::choose(self.json))
    }

    /// Prints a result: one JSON document, or what `people` makes of it.
    pub fn print<T: Serialize>(&self, value: &T, people: impl FnOnce(&T) -> String) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(value).map_err(|source| Error::Output { source })?
        } else {
            people(value)
        };
        write_out(text.trim_end())
    }
}

/// Prints a line on stdout; a reader that has gone (`| head`) is no error.
pub fn write_out(text: &str) -> Result<()> {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::io("stdout")(error)),
        _ => Ok(()),
    }
}

impl Opened {
    /// Opens the corpus in a folder or at a URI.
    pub async fn at(root: &Path) -> Result<Self> {
        Self::with(&Console::default(), root, |options| options, query).await
    }

    async fn with(
        console: &Console,
        root: &Path,
        change: impl FnOnce(Options) -> Options,
        hold: fn() -> Held,
    ) -> Result<Self> {
        let home = Home::attach(root).await?;
        let config = console.config(&home)?;
        let homes = cluster::corpora(&home, &config.cluster).await?;
        let functions = predict::functions(homes.clone(), config.train.threads);
        let cluster = cluster::connect(&config.cluster, homes, functions.clone())?;
        let sql = SqlRuntime::with(hold, Extras { functions, thread_start: Some(priority::let_pass), cluster })?;
        let corpus = Corpus::open_in(home, change(store_options(&config))).await?;
        if corpus.classes() != config.classes {
            return Err(Error::ClassesChanged {
                config: config.classes.join(", "),
                corpus: corpus.classes().join(", "),
            });
        }
        Ok(Self { corpus, config, sql })
    }

    /// Notes in the audit log what a command changed. Its user is whoever the system says; nobody could make them prove it.
    pub async fn note(&self, action: &str, target: Option<String>, detail: Option<String>) -> Result<()> {
        let name = std::env::var("USER").unwrap_or_else(|_| "cli".to_owned());
        let actor = Actor { name, role: Role::Admin, door: "cli" };
        Ok(self.corpus.note_change(&actor, action, target, detail).await?)
    }

    /// A session over everything committed so far, with the console's limits.
    pub async fn session(&self) -> Result<Session> {
        self.session_at(Moment::Now).await
    }

    /// A session over everything committed until a moment, with the console's limits.
    pub async fn session_at(&self, moment: Moment) -> Result<Session> {
        Ok(Session::open(&self.sql, self.corpus.snapshot_of(moment).await?, sql_limits(&self.config.sql)).await?)
    }
}

/// Where the corpus lives that the arguments, the environment or the current folder name; it is not opened.
pub async fn find_home(console: &Console) -> Result<Home> {
    Ok(Home::attach(&find_corpus(console.corpus.as_deref())?).await?)
}

fn query() -> Held {
    Box::new(Computing::query())
}

/// The store's options as the config has them.
pub fn store_options(config: &Config) -> Options {
    Options {
        index_cache_bytes: (config.store.index_cache_mb as usize) << 20,
        metadata_cache_bytes: (config.store.metadata_cache_mb as usize) << 20,
        face_window: Duration::from_millis(config.store.commit_window_ms),
        dedup: config.ingest.dedup,
        sync: config.store.durability == Durability::Commit,
        reserve_bytes: config.store.reserve_mb << 20,
        keep_rounds: config.round.keep_rounds as usize,
        judgements_per_face: config.round.judgements_per_face,
        blind: config.round.blind,
        audit: Audit { target: config.round.audit_target, min_faces: config.round.audit_min_faces },
        ..Options::default()
    }
}

/// Bounds on a query that people type.
pub fn sql_limits(config: &SqlConfig) -> SqlLimits {
    SqlLimits {
        memory_bytes: (config.memory_mb as usize) << 20,
        timeout: Duration::from_secs(config.timeout_seconds),
        max_text_bytes: (config.max_text_kb as usize) << 10,
        ..SqlLimits::default()
    }
}

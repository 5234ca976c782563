//! Machines beside this one: long queries and the scoring of a large pool on a Ballista cluster.
//!
//! In: `[cluster]` of the config, or `--cluster`. Out: [`marginalia_store::Cluster`], which sessions hand plans to, and
//! the roles that make a cluster. Plans are made here, in our own read-only session and behind all of its walls, and
//! submitted as physical plans; the store decides which ones ([`marginalia_store::engine_state`] and the module around
//! it).
//!
//! ```text
//! session ─ plan ─▶ client ─ bytes ─▶ scheduler ─ stages ─▶ executors ─▶ tables, checkpoints
//!    ▲                                                          │
//!    └──────────────────────── rows (Flight) ◀──────────────────┘
//! ```
//!
//! `state` is what all roles have: functions by name, settings, the codec (`codec`: our one leaf in front of Ballista's
//! nodes; only tables of known corpora decode). `walls` says which nodes a plan may have, on the way in and before each
//! task. `scheduler` and `executor` start Ballista's own, in push mode, `engine` stands around an executor's tasks,
//! `client` submits, waits, cancels and fetches, `status` asks the scheduler's HTTP side, `tls` is mutual TLS. Where a
//! role has TLS, Ballista itself listens on 127.0.0.1 under the same port, and a front on the role's address takes the
//! connections of those who show a certificate: Ballista's executors have no TLS of their own for tasks.
//!
//! Nothing of Ballista is named outside this folder. A build without the feature `cluster` has the words and no more.

mod address;
#[cfg(feature = "cluster")]
mod client;
#[cfg(feature = "cluster")]
mod codec;
#[cfg(feature = "cluster")]
mod engine;
#[cfg(feature = "cluster")]
mod executor;
#[cfg(feature = "cluster")]
mod scheduler;
#[cfg(feature = "cluster")]
mod state;
#[cfg(feature = "cluster")]
mod status;
#[cfg(feature = "cluster")]
mod tls;
#[cfg(feature = "cluster")]
mod walls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::logical_expr::ScalarUDF;
use marginalia_store::{Cluster, Home, TableCaches};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::config::ClusterConfig;
use crate::error::{ClusterError, Result};

pub use address::{Address, check_listening};

/// Argument of commands that can use a cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct ClusterArgs {
    /// Scheduler of a cluster for what is long [default: cluster.scheduler of the config]
    #[arg(long, value_name = "df://HOST:PORT")]
    pub cluster: Option<String>,
}

/// What an executor has of its machine.
#[derive(Clone, Debug)]
pub struct Share {
    /// Tasks at a time, and threads of a teacher, which the tasks share; 0: one per core.
    pub cores: usize,
    /// Memory of its tasks together, bytes.
    pub memory_bytes: u64,
    /// Folder for what tasks leave for each other, and for what they spill.
    pub work_dir: PathBuf,
    /// What the tables that they read keep in memory besides.
    pub caches: Arc<TableCaches>,
}

/// This corpus and those that the config names: what may be read.
pub async fn corpora(home: &Home, config: &ClusterConfig) -> Result<Vec<Home>> {
    let mut homes = vec![home.clone()];
    for root in &config.corpora {
        homes.push(Home::attach(Path::new(root)).await?);
    }
    Ok(homes)
}

#[cfg(feature = "cluster")]
mod built_in {
    use super::*;

    /// The cluster that the config names.
    pub fn connect(
        config: &ClusterConfig,
        homes: Vec<Home>,
        functions: Vec<Arc<ScalarUDF>>,
    ) -> Result<Option<Arc<dyn Cluster>>> {
        if config.scheduler.is_empty() {
            return Ok(None);
        }
        let state = state::State::new(config, homes, functions)?;
        Ok(Some(Arc::new(client::Client::new(config.scheduler.parse()?, state, config)?)))
    }

    /// Runs a scheduler until the token is cancelled.
    pub async fn schedule(
        config: &ClusterConfig,
        homes: Vec<Home>,
        functions: Vec<Arc<ScalarUDF>>,
        listen: SocketAddr,
        token: CancellationToken,
    ) -> Result<()> {
        let state = state::State::new(config, homes, functions)?;
        Ok(scheduler::run(&state, listen, token).await?)
    }

    /// Runs an executor until it is told to stop.
    pub async fn execute(
        config: &ClusterConfig,
        homes: Vec<Home>,
        functions: Vec<Arc<ScalarUDF>>,
        listen: SocketAddr,
        share: &Share,
    ) -> Result<()> {
        let scheduler = named_scheduler(config)?;
        let state = state::State::new(config, homes, functions)?;
        executor::run(&state, &scheduler, listen, share).await
    }

    /// Waits until jobs that nobody wants any more are cancelled, for a moment at most: the last thing that a process does.
    pub async fn settle() {
        client::settle().await;
    }

    /// What the scheduler knows of its executors and jobs.
    pub async fn look(config: &ClusterConfig) -> Result<Value> {
        let scheduler = named_scheduler(config)?;
        Ok(status::look(&scheduler, tls::Tls::of(config)?.as_ref()).await?)
    }

    fn named_scheduler(config: &ClusterConfig) -> std::result::Result<Address, ClusterError> {
        if config.scheduler.is_empty() {
            return Err(ClusterError::NoScheduler);
        }
        config.scheduler.parse()
    }
}

#[cfg(not(feature = "cluster"))]
mod built_in {
    use super::*;

    /// There is none to connect to: an error where the config names one.
    pub fn connect(
        config: &ClusterConfig,
        _homes: Vec<Home>,
        _functions: Vec<Arc<ScalarUDF>>,
    ) -> Result<Option<Arc<dyn Cluster>>> {
        if config.scheduler.is_empty() { Ok(None) } else { Err(ClusterError::NotBuiltIn.into()) }
    }

    /// An error.
    pub async fn schedule(
        _config: &ClusterConfig,
        _homes: Vec<Home>,
        _functions: Vec<Arc<ScalarUDF>>,
        _listen: SocketAddr,
        _token: CancellationToken,
    ) -> Result<()> {
        Err(ClusterError::NotBuiltIn.into())
    }

    /// An error.
    pub async fn execute(
        _config: &ClusterConfig,
        _homes: Vec<Home>,
        _functions: Vec<Arc<ScalarUDF>>,
        _listen: SocketAddr,
        _share: &Share,
    ) -> Result<()> {
        Err(ClusterError::NotBuiltIn.into())
    }

    /// There are no jobs.
    pub async fn settle() {}

    /// An error.
    pub async fn look(_config: &ClusterConfig) -> Result<Value> {
        Err(ClusterError::NotBuiltIn.into())
    }
}

pub use built_in::{connect, execute, look, schedule, settle};

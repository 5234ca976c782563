//! `cluster`: the roles that make a cluster, and what it is doing. docs/scale.md walks through three machines.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use marginalia_store::TableCaches;
use serde_json::Value;

use crate::cluster::{ClusterArgs, Share, corpora, execute, look, schedule};
use crate::console::{Console, find_home, store_options};
use crate::error::Result;
use crate::tables::table;
use crate::{predict, shutdown};

/// Arguments of `cluster`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do
    #[command(subcommand)]
    pub what: What,
}

/// What can be done.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Take plans, cut them into tasks and hand these out
    Scheduler {
        /// This machine's address in the cluster
        #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50050")]
        listen: SocketAddr,
    },
    /// Run tasks
    Executor(Executor),
    /// Show executors and jobs
    Status(ClusterArgs),
}

/// Arguments of `cluster executor`.
#[derive(Debug, clap::Args)]
pub struct Executor {
    /// This machine's address in the cluster; the port above it is used too
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:50051")]
    pub listen: SocketAddr,
    /// Scheduler.
    #[command(flatten)]
    pub scheduler: ClusterArgs,
    /// Tasks at a time, and threads of a model, which they share [default: one per core]
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    pub cores: usize,
    /// Memory of all tasks together, in MB
    #[arg(long, default_value_t = 4096)]
    pub memory_mb: u64,
    /// Folder for what tasks leave for each other; tens of GB for large sorts and joins
    #[arg(long, value_name = "DIR")]
    pub work_dir: PathBuf,
}

/// Runs `cluster`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let cluster = match &args.what {
        What::Scheduler { .. } => ClusterArgs::default(),
        What::Executor(executor) => executor.scheduler.clone(),
        What::Status(cluster) => cluster.clone(),
    };
    let console = console.on(&cluster);
    let home = find_home(&console).await?;
    let settings = console.config(&home)?;
    let config = &settings.cluster;
    let homes = || corpora(&home, config);
    match args.what {
        What::Scheduler { listen } => {
            let homes = homes().await?;
            let functions = predict::functions(homes.clone(), 0);
            schedule(config, homes, functions, listen, shutdown::on_signals()?).await
        }
        What::Executor(args) => {
            let homes = homes().await?;
            let functions = predict::functions(homes.clone(), args.cores);
            let share = Share {
                cores: args.cores,
                memory_bytes: args.memory_mb << 20,
                work_dir: args.work_dir,
                caches: Arc::new(TableCaches::new(&store_options(&settings))),
            };
            execute(config, homes, functions, args.listen, &share).await
        }
        What::Status(_) => {
            let value = look(config).await?;
            console.print(&value, people)
        }
    }
}

fn people(value: &Value) -> String {
    let rows = |key: &str| value[key].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let executors = rows("executors").into_iter().map(|executor| {
        let address = format!("{}:{}", text(&executor["host"]), executor["port"]);
        vec![address, text(&executor["specification"]["task_slots"]), text(&executor["id"])]
    });
    let jobs = rows("jobs").into_iter().map(|job| {
        let stages = format!("{} of {}", job["completed_stages"], job["num_stages"]);
        vec![text(&job["job_id"]), stages, text(&job["job_status"])]
    });
    format!(
        "{}\n{}",
        table(&["executor", "tasks at a time", "id"], &[1], executors),
        table(&["job", "stages done", "state"], &[], jobs)
    )
}

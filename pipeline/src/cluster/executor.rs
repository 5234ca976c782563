//! Ballista's executor, in push mode.
//!
//! In: an address, the scheduler's, and a share of this machine. Out: an executor that runs tasks until it is told to
//! stop (SIGTERM, Ctrl-C) and has finished those that run. It listens on two ports: on its own others fetch rows, on
//! the next one the scheduler hands out tasks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_core::{ConfigProducer, RuntimeProducer};
use ballista_executor::executor_process::{ExecutorProcessConfig, start_executor_process};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::SessionConfig;
use marginalia_store::engine_runtime;

use super::engine::Engine;
use super::scheduler::{front, host, inner};
use super::state::{MESSAGE_BYTES, State};
use super::walls::words;
use super::{Address, Share, check_listening};
use crate::error::{ClusterError, Error};

/// Seconds between two signs of life.
const HEARTBEAT: u64 = 5;
/// How long to wait for the scheduler to be there, seconds.
const SCHEDULER_WAIT: u16 = 60;
/// What tasks left for each other is removed after so long without a change, seconds: longer than any job …
const DATA_KEPT: u64 = 2 * 86_400;
/// … looked for so often, seconds.
const CLEANER: u64 = 600;

/// Runs it.
pub async fn run(state: &State, scheduler: &Address, listen: SocketAddr, share: &Share) -> crate::error::Result<()> {
    check_listening(listen, state.tls.is_some())?;
    let tasks_port = listen.port().checked_add(1).ok_or(ClusterError::Stopped {
        role: "executor",
        problem: "the port above the one it listens on must be free".to_owned(),
    })?;
    let tasks = SocketAddr::new(listen.ip(), tasks_port);
    // Apart, because the cleaner looks at every folder among the data.
    let folder = |name: &str| -> crate::error::Result<String> {
        let folder = share.work_dir.join(name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        Ok(folder.to_string_lossy().into_owned())
    };
    let (data, spill) = (folder("data")?, folder("spill")?);
    let runtime: RuntimeProducer =
        Arc::new(move |_: &SessionConfig| engine_runtime(RuntimeEnvBuilder::new().with_temp_file_path(spill.clone())));
    let (of_all, caches) = (state.clone(), share.caches.clone());
    let settings: ConfigProducer = Arc::new(move || of_all.settings().with_extension(caches.clone()));
    let config = Arc::new(ExecutorProcessConfig {
        bind_host: host(inner(state, listen)),
        external_host: Some(host(listen)),
        port: listen.port(),
        grpc_port: tasks_port,
        scheduler_host: scheduler.host.clone(),
        scheduler_port: scheduler.port,
        scheduler_connect_timeout_seconds: SCHEDULER_WAIT,
        concurrent_tasks: cores(share.cores),
        task_scheduling_policy: TaskSchedulingPolicy::PushStaged,
        work_dir: Some(data),
        job_data_ttl_seconds: DATA_KEPT,
        job_data_clean_up_interval_seconds: CLEANER,
        grpc_max_decoding_message_size: MESSAGE_BYTES as u32,
        grpc_max_encoding_message_size: MESSAGE_BYTES as u32,
        executor_heartbeat_interval_seconds: HEARTBEAT,
        memory_pool_size: Some(share.memory_bytes),
        override_execution_engine: Some(Arc::new(Engine::new(listen))),
        override_function_registry: Some(state.registry()?),
        override_runtime_producer: Some(runtime),
        override_config_producer: Some(settings),
        override_physical_codec: Some(state.codec.clone()),
        override_create_grpc_client_endpoint: Some(state.endpoints()),
        ..ExecutorProcessConfig::default()
    });
    let stopped = |problem| ClusterError::Stopped { role: "executor", problem };
    tracing::info!("executor on {listen} for the scheduler at {scheduler}, {} tasks at a time", cores(share.cores));
    let ended = tokio::select! {
        ended = start_executor_process(config) => ended.map_err(|error| stopped(words(error))),
        ended = front(state, listen, inner(state, listen)) => {
            ended.map_err(|error| stopped(format!("cannot listen on {listen}: {error}")))
        }
        ended = front(state, tasks, inner(state, tasks)) => {
            ended.map_err(|error| stopped(format!("cannot listen on {tasks}: {error}")))
        }
        () = each_second() => Ok(()),
    };
    Ok(ended?)
}

/// Never ends, and has everything beside it looked at once a second: Ballista's wait for its last tasks is woken by
/// nobody, and an executor that was told to stop would stay.
async fn each_second() {
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// So many, or one per core.
fn cores(cores: usize) -> usize {
    match cores {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        cores => cores,
    }
}

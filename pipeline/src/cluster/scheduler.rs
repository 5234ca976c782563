//! Ballista's scheduler, in push mode.
//!
//! In: an address. Out: a scheduler that takes physical plans of our sessions, until the token is cancelled. It keeps
//! its state in memory: jobs end with it, and whoever submitted one submits it again.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use ballista_core::config::TaskSchedulingPolicy;
use ballista_scheduler::cluster::BallistaCluster;
use ballista_scheduler::config::{SchedulerConfig, TaskDistributionPolicy};
use ballista_scheduler::scheduler_process::{create_scheduler, start_grpc_service};
use tokio_util::sync::CancellationToken;

use super::check_listening;
use super::state::{MESSAGE_BYTES, State};
use super::walls::{NoLogicalPlan, OurPlan, words};
use crate::error::ClusterError;

/// An executor that has said nothing for so long is gone, and its tasks run elsewhere, seconds.
const EXECUTOR_TIMEOUT: u64 = 30;
/// Pause between two looks for such, seconds.
const EXECUTOR_CHECK: u64 = 5;
/// Rows of a finished job are kept so long, seconds: its client is fetching them.
const RESULTS_KEPT: u64 = 300;

/// Runs it.
pub async fn run(state: &State, listen: SocketAddr, token: CancellationToken) -> Result<(), ClusterError> {
    check_listening(listen, state.tls.is_some())?;
    let inner = inner(state, listen);
    let config = Arc::new(SchedulerConfig {
        external_host: host(listen),
        bind_host: host(inner),
        bind_port: inner.port(),
        scheduling_policy: TaskSchedulingPolicy::PushStaged,
        task_distribution: TaskDistributionPolicy::RoundRobin,
        finished_job_data_clean_up_interval_seconds: RESULTS_KEPT,
        executor_timeout_seconds: EXECUTOR_TIMEOUT,
        expire_dead_executor_interval_seconds: EXECUTOR_CHECK,
        grpc_server_max_encoding_message_size: MESSAGE_BYTES as u32,
        override_config_producer: Some(state.config_producer()),
        override_session_builder: Some(state.session_builder()),
        override_physical_codec: Some(state.codec.clone()),
        override_create_grpc_client_endpoint: Some(state.endpoints()),
        use_tls: state.tls.is_some(),
        // No page in a browser: by default some of Ballista's may read and cancel jobs.
        cors_allowed_origins: format!("http://{listen}"),
        ..SchedulerConfig::default()
    });
    let stopped = |error| ClusterError::Stopped { role: "scheduler", problem: words(error) };
    let cluster = BallistaCluster::new_from_config(&config).await.map_err(stopped)?;
    let scheduler = create_scheduler::<NoLogicalPlan, OurPlan>(cluster, config).await.map_err(stopped)?;
    tracing::info!("scheduler on {listen}{}", if state.tls.is_some() { ", with TLS" } else { "" });
    tokio::select! {
        ended = start_grpc_service(inner, scheduler) => ended.map_err(stopped),
        ended = front(state, listen, inner) => ended.map_err(|error| ClusterError::Stopped {
            role: "scheduler",
            problem: format!("cannot listen on {listen}: {error}"),
        }),
        () = token.cancelled() => Ok(()),
    }
}

/// Where Ballista itself listens: behind a front where there is TLS.
pub fn inner(state: &State, listen: SocketAddr) -> SocketAddr {
    match state.tls {
        Some(_) => SocketAddr::from((Ipv4Addr::LOCALHOST, listen.port())),
        None => listen,
    }
}

/// The front; without TLS it never ends, because there is nothing to do.
pub async fn front(state: &State, outer: SocketAddr, inner: SocketAddr) -> std::io::Result<()> {
    match &state.tls {
        Some(tls) => tls.front(outer, inner).await,
        None => std::future::pending().await,
    }
}

/// An address as it stands in a URL, without its port.
pub fn host(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

//! What every role of the cluster has.
//!
//! In: the config and the corpora that may be read. Out: one set of functions, settings and codec for the client, the
//! scheduler and the executors, so that what one of them writes the others understand.

use std::sync::Arc;
use std::time::Duration;

use ballista_core::ConfigProducer;
use ballista_core::extension::{EndpointOverrideFn, SessionConfigExt};
use ballista_core::registry::BallistaFunctionRegistry;
use ballista_scheduler::SessionBuilder;
use datafusion::execution::SessionState;
use datafusion::logical_expr::ScalarUDF;
use datafusion::prelude::SessionConfig;
use marginalia_store::{Home, engine_state};
use tonic::transport::Endpoint;

use super::codec::Codec;
use super::tls::Tls;
use crate::config::ClusterConfig;
use crate::error::ClusterError;

/// Largest message between machines, bytes: a batch of images is 16 MB and a little. What a client may submit is
/// smaller.
pub const MESSAGE_BYTES: usize = 64 << 20;
/// Pause between two signs of life.
const ASKED_EVERY: Duration = Duration::from_secs(10);
/// How long a machine may say nothing before it counts as gone.
const SILENCE: Duration = Duration::from_secs(20);

/// What every role has; cheap to clone.
#[derive(Clone)]
pub struct State {
    pub codec: Arc<Codec>,
    pub functions: Vec<Arc<ScalarUDF>>,
    pub tls: Option<Tls>,
}

impl State {
    /// Reads the certificates, where the config names some.
    pub fn new(config: &ClusterConfig, homes: Vec<Home>, functions: Vec<Arc<ScalarUDF>>) -> Result<Self, ClusterError> {
        Ok(Self { codec: Arc::new(Codec::new(homes)), functions, tls: Tls::of(config)? })
    }

    /// Settings of a plan, before the session adds its own.
    pub fn settings(&self) -> SessionConfig {
        SessionConfig::new_with_ballista()
            .with_ballista_grpc_client_max_message_size(MESSAGE_BYTES)
            .with_ballista_use_tls(self.tls.is_some())
            .with_ballista_override_create_grpc_client_endpoint(self.endpoints())
    }

    /// The same for Ballista, which sets the session's on top.
    pub fn config_producer(&self) -> ConfigProducer {
        let state = self.clone();
        Arc::new(move || state.settings())
    }

    /// Sessions of the scheduler, in which plans are decoded.
    pub fn session_builder(&self) -> SessionBuilder {
        let functions = self.functions.clone();
        Arc::new(move |config| engine_state(config, &functions))
    }

    /// Functions of executors.
    pub fn registry(&self) -> Result<Arc<BallistaFunctionRegistry>, ClusterError> {
        Ok(Arc::new(BallistaFunctionRegistry::from(&self.engine("executor")?)))
    }

    /// The engine in which such a role reads plans.
    pub fn engine(&self, role: &'static str) -> Result<SessionState, ClusterError> {
        engine_state(self.settings(), &self.functions)
            .map_err(|error| ClusterError::Stopped { role, problem: error.strip_backtrace() })
    }

    /// How connections to the others are opened.
    pub fn endpoints(&self) -> EndpointOverrideFn {
        match &self.tls {
            Some(tls) => tls.endpoints(),
            None => Arc::new(|endpoint: Endpoint| Ok(watched(endpoint))),
        }
    }
}

/// A connection whose other end is asked for a sign of life: of a machine that lost its power nothing else tells, and
/// whoever fetches rows from it would wait for ever.
pub fn watched(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(SILENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(ASKED_EVERY)
        .keep_alive_timeout(SILENCE)
        .keep_alive_while_idle(true)
}

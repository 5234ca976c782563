//! What can go wrong with machines beside this one.

use std::net::IpAddr;
use std::path::PathBuf;

/// Why there is no cluster, or none that answers.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// The build lacks it.
    #[error(
        "this build has no cluster; build one with it: `cargo build --features cluster`, or leave --cluster and \
         cluster.scheduler away"
    )]
    NotBuiltIn,
    /// No scheduler was named.
    #[error("no scheduler is named; pass --cluster df://HOST:PORT, or set cluster.scheduler in marginalia.toml")]
    NoScheduler,
    /// A text that names no scheduler.
    #[error("`{text}` is no scheduler's address; write df://HOST:PORT, such as df://10.0.0.1:50050")]
    Address {
        /// As written.
        text: String,
    },
    /// A machine that would listen on all its interfaces.
    #[error("{address} stands for every interface of this machine; name the address that the others reach it by")]
    NoInterface {
        /// As given.
        address: IpAddr,
    },
    /// A machine that strangers would reach.
    #[error(
        "{address} can be reached from beyond private networks, and whoever reaches a cluster can use it; set \
         cluster.tls_cert, tls_key and tls_ca, or listen on a private address"
    )]
    Public {
        /// As given.
        address: IpAddr,
    },
    /// TLS on an address that stands for this machine alone.
    #[error("with TLS name an address that other machines know; behind {address} Ballista itself listens")]
    Loopback {
        /// As given.
        address: IpAddr,
    },
    /// A certificate or key that is none.
    #[error("{path}: {problem}; cluster.tls_cert, tls_key and tls_ca are PEM files", path = .path.display())]
    Tls {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The scheduler does not answer as it should.
    #[error("the cluster's scheduler at {address} does not answer: {problem}")]
    Unreachable {
        /// Where it was looked for.
        address: String,
        /// Why.
        problem: String,
    },
    /// A role that ended by itself.
    #[error("the {role} stopped: {problem}")]
    Stopped {
        /// `scheduler` or `executor`.
        role: &'static str,
        /// Ballista's words.
        problem: String,
    },
}

impl ClusterError {
    /// Whether the command line or the config has to be written differently.
    pub fn is_usage(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Stopped { .. })
    }
}

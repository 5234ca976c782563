//! `[cluster]`: the machines beside this one.

use serde::{Deserialize, Serialize};

/// `[cluster]`: where long queries and the scoring of a large pool run besides here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// `df://HOST:PORT` of its scheduler; empty: there is none.
    pub scheduler: String,
    /// Rows that a query must read to be worth the way.
    pub from_rows: u64,
    /// A job is given up after so many seconds.
    pub deadline_seconds: u64,
    /// Faces scored in one job.
    pub chunk_faces: u64,
    /// Other corpora that its machines may read: their paths or URIs.
    pub corpora: Vec<String>,
    /// PEM file with the certificate that each machine shows the others.
    pub tls_cert: String,
    /// PEM file with its private key.
    pub tls_key: String,
    /// PEM file with the authority that signed all of them.
    pub tls_ca: String,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            scheduler: String::new(),
            from_rows: 10_000_000,
            deadline_seconds: 3600,
            chunk_faces: 200_000,
            corpora: Vec::new(),
            tls_cert: String::new(),
            tls_key: String::new(),
            tls_ca: String::new(),
        }
    }
}

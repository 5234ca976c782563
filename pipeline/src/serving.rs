//! What this process answers others with: HTTP and, where asked for, SQL of PostgreSQL's clients, on one open corpus.
//!
//! In: addresses from the command line. Out: ports that are open before anything is said to work, and that answer until
//! the token is cancelled.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::console::Opened;
use crate::error::Result;
use crate::http::{HttpContext, HttpServer};
use crate::postgres::{Door, Listener};
use crate::tls::Tls;

/// Where to answer.
#[derive(Clone, Debug, clap::Args)]
pub struct Addresses {
    /// Answer HTTP there: uploads, the queue, labels, faces, rounds; port 0 takes any that is free
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7878")]
    pub addr: SocketAddr,
    /// Answer SQL of PostgreSQL's clients (psql, drivers, BI tools) there
    #[arg(long, value_name = "HOST:PORT")]
    pub postgres: Option<String>,
    /// Speak TLS only, on both ports, with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// What is served where.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// Address of the HTTP API.
    pub http: SocketAddr,
    /// Address for PostgreSQL's clients.
    pub postgres: Option<SocketAddr>,
    /// Whom SQL is answered; none where it is not.
    pub admits: Option<Door>,
    /// Whether clients have to speak TLS.
    pub tls: bool,
}

/// Open ports that nobody answers yet.
pub struct Listening {
    http: HttpServer,
    postgres: Option<Listener>,
    served: Served,
}

impl Listening {
    /// Opens the ports.
    ///
    /// # Errors
    /// A port that is taken, an address beyond loopback while nobody has a token, a certificate that does not read, or
    /// another process that serves this corpus.
    pub async fn bind(opened: &Opened, addresses: &Addresses) -> Result<Self> {
        let tls = match (&addresses.tls_cert, &addresses.tls_key) {
            (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
            _ => None,
        };
        let speaks_tls = tls.is_some();
        let http = HttpServer::bind(opened, addresses.addr, tls.as_ref()).await?;
        let postgres = match &addresses.postgres {
            Some(address) => Some(Listener::bind(opened, address, tls).await?),
            None => None,
        };
        let served = Served {
            http: http.address,
            postgres: postgres.as_ref().map(|listener| listener.address),
            admits: postgres.as_ref().map(|listener| listener.door),
            tls: speaks_tls,
        };
        Ok(Self { http, postgres, served })
    }

    /// What is open where.
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Answers until the token is cancelled; what fails ends all of it.
    pub async fn serve(self, context: HttpContext, token: &CancellationToken) -> Result<()> {
        let sql = async {
            if let Some(listener) = self.postgres {
                listener.serve(token.clone()).await;
            }
        };
        let http = async {
            let served = self.http.serve(&context, token).await;
            token.cancel();
            served
        };
        tokio::join!(http, sql).0
    }
}

impl Served {
    /// In words, for people.
    pub fn lines(&self) -> Vec<String> {
        let scheme = if self.tls { "https" } else { "http" };
        let mut lines = vec![format!("HTTP on {scheme}://{}/api/status; docs/http.md says what there is", self.http)];
        if let Some(address) = self.postgres {
            lines.push(format!(
                "SQL for PostgreSQL's clients on {address}: psql \"host={} port={} user=NAME{}\"",
                address.ip(),
                address.port(),
                if self.tls { " sslmode=require" } else { "" }
            ));
            lines.push(match self.admits {
                Some(Door::ThisMachine) => "no token was ever made, so everybody on this machine may read the corpus; \
                                      `marginalia token create NAME --role reader` changes that at once"
                    .to_owned(),
                Some(Door::Tokens) | None => {
                    "the user is a token's name, the password the token (`marginalia token list`)".to_owned()
                }
            });
        }
        let is_open = |address: &SocketAddr| !address.ip().is_loopback();
        if !self.tls && (is_open(&self.http) || self.postgres.as_ref().is_some_and(is_open)) {
            lines.push(
                "without TLS whoever listens on the way reads the answers; pass --tls-cert and --tls-key".to_owned(),
            );
        }
        lines
    }
}

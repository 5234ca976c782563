//! `serve`: answers others over the network until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use marginalia_labeling_ui::{Access, Events};
use tokio::sync::oneshot;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::http::{self, HttpContext};
use crate::postgres::{Door, Listener, Tls};
use crate::shutdown;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Answer HTTP there: uploads, the queue, labels, faces, rounds
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:7878")]
    pub addr: SocketAddr,
    /// Answer SQL of PostgreSQL's clients (psql, drivers, BI tools) there
    #[arg(long, value_name = "HOST:PORT")]
    pub postgres: Option<String>,
    /// Speak TLS only to PostgreSQL's clients, with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// What is served where.
#[derive(Debug, serde::Serialize)]
struct Serving {
    http: SocketAddr,
    postgres: Option<SocketAddr>,
    admits: Door,
    tls: bool,
}

/// Runs `serve`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
        _ => None,
    };
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let has_tokens = opened.corpus.grants().await?.iter().any(|grant| grant.revoked_at.is_none());
    if !args.addr.ip().is_loopback() && !has_tokens {
        return Err(Error::OpenDoor { address: args.addr });
    }
    let speaks_tls = tls.is_some();
    let listener = match &args.postgres {
        Some(address) => Some(Listener::bind(&opened, address, tls).await?),
        None => None,
    };
    let postgres = listener.as_ref().map(|listener| listener.address);
    let admits = listener.as_ref().map_or(if has_tokens { Door::Tokens } else { Door::ThisMachine }, |it| it.door);
    let access: Arc<dyn Access> = Arc::new(opened.corpus.clone());
    let context = HttpContext { opened, events: Events::default(), arrivals: None, access: Some(access) };
    let (listening, bound) = oneshot::channel();
    let told = async {
        // Nobody tells where the port could not be had: the server says why.
        let Ok(http) = bound.await else { return Ok(()) };
        console.print(&Serving { http, postgres, admits, tls: speaks_tls }, told)
    };
    let ready = |address| {
        // Who is told waits below, to the end.
        let _ = listening.send(address);
    };
    let sql = async {
        if let Some(listener) = listener {
            listener.serve(token.clone()).await;
        }
    };
    let http = async {
        let served = http::serve(&context, args.addr, ready, &token).await;
        token.cancel();
        served
    };
    let (served, (), told) = tokio::join!(http, sql, told);
    served.and(told)
}

fn told(serving: &Serving) -> String {
    let mut lines = vec![format!("HTTP on http://{}/api/status; docs/http.md says what there is", serving.http)];
    if let Some(address) = serving.postgres {
        lines.push(format!(
            "SQL for PostgreSQL's clients on {address}: psql \"host={} port={} user=NAME{}\"",
            address.ip(),
            address.port(),
            if serving.tls { " sslmode=require" } else { "" }
        ));
        lines.push(match serving.admits {
            Door::ThisMachine => "no token was ever made, so everybody on this machine may read the corpus; \
                                  `marginalia token create NAME --role reader` changes that at once"
                .to_owned(),
            Door::Tokens => "the user is a token's name, the password the token (`marginalia token list`)".to_owned(),
        });
    }
    let is_open = |address: &SocketAddr| !address.ip().is_loopback();
    if is_open(&serving.http) || (!serving.tls && serving.postgres.as_ref().is_some_and(is_open)) {
        lines.push(
            "without TLS whoever listens on the way reads the answers; pass --tls-cert and --tls-key for SQL, put a proxy \
             before HTTP"
                .to_owned(),
        );
    }
    lines.join("\n")
}

//! `serve`: answers others over the network until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::console::Console;
use crate::error::{Error, Result};
use crate::postgres::{Door, Listener, Tls};
use crate::shutdown;

/// Arguments of `serve`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Answer SQL of PostgreSQL's clients (psql, drivers, BI tools) there
    #[arg(long, value_name = "HOST:PORT")]
    pub postgres: Option<String>,
    /// Speak TLS only, with this certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// What is served where.
#[derive(Debug, serde::Serialize)]
struct Serving {
    postgres: SocketAddr,
    admits: Door,
    tls: bool,
}

/// Runs `serve`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let address = args.postgres.ok_or(Error::NothingToServe)?;
    let tls = match (&args.tls_cert, &args.tls_key) {
        (Some(certificate), Some(key)) => Some(Tls::read(certificate, key)?),
        _ => None,
    };
    let opened = console.open().await?;
    let token = shutdown::on_signals()?;
    let speaks_tls = tls.is_some();
    let listener = Listener::bind(&opened, &address, tls).await?;
    let serving = Serving { postgres: listener.address, admits: listener.door, tls: speaks_tls };
    console.print(&serving, told)?;
    listener.serve(token).await;
    Ok(())
}

fn told(serving: &Serving) -> String {
    let address = serving.postgres;
    let mut lines = vec![format!(
        "SQL for PostgreSQL's clients on {address}: psql \"host={} port={} user=NAME{}\"",
        address.ip(),
        address.port(),
        if serving.tls { " sslmode=require" } else { "" }
    )];
    lines.push(match serving.admits {
        Door::ThisMachine => "no token was ever made, so everybody on this machine may read the corpus; \
                              `marginalia token create NAME --role reader` changes that at once"
            .to_owned(),
        Door::Tokens => "the user is a token's name, the password the token (`marginalia token list`)".to_owned(),
    });
    if !serving.tls && !address.ip().is_loopback() {
        lines
            .push("without TLS whoever listens on the way reads the answers; pass --tls-cert and --tls-key".to_owned());
    }
    lines.join("\n")
}

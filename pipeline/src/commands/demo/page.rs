//! `demo --open`: the page on the demo's corpus.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use tokio_util::sync::CancellationToken;

use crate::commands::serve;
use crate::console::{Console, Opened};
use crate::error::Result;
use crate::serving::{Addresses, Listening};

/// Serves the page until the token is cancelled, on any port that is free, and has it shown.
pub async fn open(opened: Opened, console: &Console, token: &CancellationToken) -> Result<()> {
    let addr = SocketAddr::from(([127, 0, 0, 1], 0));
    let here = Addresses { addr, postgres: None, tls_cert: None, tls_key: None };
    let listening = Listening::bind(&opened, &here).await?;
    let page = format!("http://{}/", listening.served().http);
    console.print(listening.served(), |_| format!("\nThe page is on {page} until Ctrl-C."))?;
    show(&page);
    serve::answer(opened, listening, console.json, token).await
}

/// Asks the system for a browser, which outlives this process. Where there is none, people have read the address.
fn show(page: &str) {
    let program = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = Command::new(program);
    command.arg(page).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Err(error) = command.spawn() {
        tracing::info!("no browser is started ({program}: {error})");
    }
}

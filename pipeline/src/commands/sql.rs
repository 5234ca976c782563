//! `sql`: questions to the corpus, read-only, now or as of a round or a time.

use std::io::IsTerminal;
use std::path::PathBuf;

use marginalia_store::Session;

use crate::answers::{AnswerFile, Format, write};
use crate::cluster::ClusterArgs;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::moment::MomentArgs;
use crate::{prompt, shutdown};

/// Arguments of `sql`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The query; without one, and without -f, a prompt on a terminal, else stdin
    pub query: Option<String>,
    /// Read the query from a file
    #[arg(short = 'f', long, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,
    /// Form of the answer
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// When.
    #[command(flatten)]
    pub at: MomentArgs,
    /// Write the answer to a file; until it is whole, it is FILE.part
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Other machines.
    #[command(flatten)]
    pub cluster: ClusterArgs,
}

/// Runs `sql`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.on(&args.cluster).open().await?;
    let moment = args.at.moment();
    let session = opened.session_at(moment).await?;
    let format = args.format.unwrap_or(if console.json { Format::Json } else { Format::Table });
    let text = match (args.query, args.file) {
        (Some(query), _) => query,
        (None, Some(file)) => std::fs::read_to_string(&file).map_err(Error::io(&file))?,
        (None, None) if std::io::stdin().is_terminal() => return prompt::run(&opened, session, moment, format).await,
        (None, None) => std::io::read_to_string(std::io::stdin()).map_err(Error::io("stdin"))?,
    };
    let file = args.output.map(AnswerFile::new).transpose()?;
    // Stopped, it is given up: on a cluster, too, where it would go on by itself.
    let token = shutdown::on_signals()?;
    let answered = token.run_until_cancelled(answer(&session, &text, format, file)).await;
    answered.unwrap_or(Err(Error::Interrupted { what: "the query" }))
}

async fn answer(session: &Session, text: &str, format: Format, file: Option<AnswerFile>) -> Result<()> {
    let answer = session.query(text).await?;
    match file {
        Some(mut file) => file.add(answer, format).await,
        None => write(answer, format, &mut std::io::stdout()).await,
    }
}

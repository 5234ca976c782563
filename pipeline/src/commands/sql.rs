//! `sql`: questions to the corpus, read-only, now or as of a round or a time.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use marginalia_store::Answer;

use crate::answers::{Format, write};
use crate::cluster::ClusterArgs;
use crate::console::Console;
use crate::error::{Error, Result};
use crate::moment::MomentArgs;
use crate::part_file::PartFile;
use crate::prompt;

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
    /// Write the answer to a file
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
    let answer = session.query(&text).await?;
    match args.output {
        Some(path) => write_file(answer, format, path).await,
        None => write(answer, format, &mut std::io::stdout()).await,
    }
}

/// Writes an answer that gets its place when it is whole. What is no file, such as a pipe, has it as it comes.
async fn write_file(answer: Answer, format: Format, path: PathBuf) -> Result<()> {
    if std::fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        let mut out = BufWriter::new(File::options().write(true).open(&path).map_err(Error::io(&path))?);
        write(answer, format, &mut out).await?;
        return out.flush().map_err(Error::io(&path));
    }
    // A link stays one: what it leads to is replaced.
    let mut file = PartFile::create(path.canonicalize().unwrap_or(path))?;
    write(answer, format, &mut file).await?;
    file.close()
}

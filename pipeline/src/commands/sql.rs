//! `sql`: questions to the corpus, read-only, now or as of a round.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::util::pretty::pretty_format_batches_with_schema;
use datafusion::arrow::{csv, ipc, json};
use datafusion::parquet::arrow::ArrowWriter;
use marginalia_store::{Answer, Session};

use crate::console::{Console, Opened, sql_limits, write_out};
use crate::error::{Error, Result};

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
    /// The tables as they were when this round was committed
    #[arg(long, value_name = "R")]
    pub at_round: Option<u32>,
    /// Write the answer to a file
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// Forms of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people
    Table,
    /// With a header line
    Csv,
    /// One array
    Json,
    /// One object a line
    Jsonl,
    /// Arrow IPC stream
    Arrow,
    /// Parquet file
    Parquet,
}

/// Runs `sql`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open().await?;
    let snapshot = match args.at_round {
        Some(round) => opened.corpus.snapshot_at_round(round).await?,
        None => opened.corpus.snapshot().await?,
    };
    let session = Session::open(&opened.sql, snapshot, sql_limits(&opened.config.sql)).await?;
    let format = args.format.unwrap_or(if console.json { Format::Json } else { Format::Table });
    let text = match (args.query, args.file) {
        (Some(query), _) => query,
        (None, Some(file)) => std::fs::read_to_string(&file).map_err(Error::io(&file))?,
        (None, None) if std::io::stdin().is_terminal() => return prompt(&opened, session, args.at_round).await,
        (None, None) => std::io::read_to_string(std::io::stdin()).map_err(Error::io("stdin"))?,
    };
    let answer = session.query(&text).await?;
    match args.output {
        Some(path) => {
            let mut file = BufWriter::new(File::create(&path).map_err(Error::io(&path))?);
            write(answer, format, &mut file).await?;
            file.flush().map_err(Error::io(&path))
        }
        None => write(answer, format, &mut std::io::stdout()).await,
    }
}

/// Writes an answer batch by batch; only the table for people needs all of it to set its columns.
async fn write(mut answer: Answer, format: Format, out: &mut (impl Write + Send)) -> Result<()> {
    let schema = answer.schema.clone();
    match format {
        Format::Table => {
            let text = pretty(&schema, &answer.collect().await?)?;
            return writeln!(out, "{text}").map_err(Error::io("the output"));
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().with_header(true).build(out);
            writer.write(&RecordBatch::new_empty(schema))?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
        }
        Format::Json => {
            let mut writer = json::ArrayWriter::new(out);
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Jsonl => {
            let mut writer = json::LineDelimitedWriter::new(out);
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Arrow => {
            let mut writer = ipc::writer::StreamWriter::try_new(out, &schema)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch)?;
            }
            writer.finish()?;
        }
        Format::Parquet => {
            let mut writer =
                ArrowWriter::try_new(out, schema, None).map_err(datafusion::error::DataFusionError::from)?;
            while let Some(batch) = answer.next().await? {
                writer.write(&batch).map_err(datafusion::error::DataFusionError::from)?;
            }
            writer.close().map_err(datafusion::error::DataFusionError::from)?;
        }
    }
    Ok(())
}

fn pretty(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<String> {
    Ok(pretty_format_batches_with_schema(schema.clone(), batches)?.to_string())
}

/// A prompt: one query a line, each on the corpus as it is then (or as it was at the round).
async fn prompt(opened: &Opened, first: Session, at_round: Option<u32>) -> Result<()> {
    let mut editor = rustyline::DefaultEditor::new().map_err(|source| Error::Prompt { source })?;
    write_out("one SELECT a line; `show tables` lists what there is; Ctrl-D ends")?;
    let mut session = first;
    loop {
        let line = match editor.readline("marginalia> ") {
            Ok(line) => line,
            Err(rustyline::error::ReadlineError::Eof | rustyline::error::ReadlineError::Interrupted) => return Ok(()),
            Err(source) => return Err(Error::Prompt { source }),
        };
        if line.trim().is_empty() {
            continue;
        }
        // History is a convenience: a line that does not get into it still runs.
        let _ = editor.add_history_entry(&line);
        if at_round.is_none() {
            session = opened.session().await?;
        }
        let answered = async {
            let answer = session.query(&line).await?;
            let schema = answer.schema.clone();
            pretty(&schema, &answer.collect().await?)
        };
        match answered.await {
            Ok(text) => write_out(&text)?,
            Err(error) => eprintln!("{error}"),
        }
    }
}

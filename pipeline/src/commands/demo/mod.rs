//! `demo`: the whole loop on synthetic faces, in a few minutes.
//!
//! Faces are written into a watched folder while rounds run; a simulated annotator answers the queue from the hidden
//! truth; beside each round the same round is trained with `supervised`. It prints a row per round and the SQL a user
//! would type next, and shows the page where that is asked for.

mod page;
mod stream;

use std::path::{Path, PathBuf};
use std::time::Duration;

use marginalia_datasets::{Classes, LabelBudget, Options, Split, reader};
use marginalia_store::tables::rounds::Round;
use marginalia_store::{Session, SqlLimits, TableId};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::init;
use crate::annotator::Annotator;
use crate::config::{Config, FILE_NAME};
use crate::console::{Console, Opened, write_out};
use crate::data_set::DataSet;
use crate::error::{Error, Result};
use crate::import::{ImportRequest, import};
use crate::ingest::{IngestContext, IngestRequest, ingest};
use crate::precision::against_truth;
use crate::report::{Mode, Reporter};
use crate::round::twin::Twin;
use crate::round::{RoundContext, RoundRequest, run_round};
use crate::shutdown;
use crate::tables::{percent, table};

use stream::Stream;
pub use stream::write_labelled;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Faces that stream in
    #[arg(long, default_value_t = 3000)]
    pub faces: u64,
    /// Rounds
    #[arg(long, default_value_t = 4)]
    pub rounds: u32,
    /// Faces the simulated annotator judges before each round
    #[arg(long, default_value_t = 150)]
    pub labels: usize,
    /// Seed of faces and training
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Then show the page on this corpus in the browser, until Ctrl-C
    #[arg(long)]
    pub open: bool,
}

/// Side of the faces, pixels.
const SIDE: u32 = 48;

/// Faces of the validation split.
const VALIDATION: u64 = 350;

/// What a round of the demo is set to, where it differs from the defaults.
const CONFIG: &[(&str, &str)] = &[
    ("[train]", "[train]\nbackbone = \"resnet-tiny\"\nepochs_per_round = 4\nsteps_per_epoch = 60"),
    ("audit_share = ", "audit_share = 0.1"),
    ("gate_macro_f1_loss = ", "gate_macro_f1_loss = 0.1"),
];

/// One row of the table.
#[derive(Clone, Debug, Serialize)]
struct Row {
    round: u32,
    faces: u64,
    labelled: u64,
    subset_one: u64,
    subset_one_precision: Option<f64>,
    precision_of_all: Option<f64>,
    corpus: u64,
    queue: u64,
    macro_f1: Option<f64>,
    supervised_macro_f1: Option<f64>,
}

/// Runs `demo`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let scratch = Scratch::new(console.corpus.as_deref());
    let opened = prepare(&scratch.corpus, args.seed).await?;
    let token = shutdown::on_signals()?;
    let (reporter, handle) = if console.json { console.report() } else { Reporter::start(Mode::Silent) };
    if !console.json {
        write_out(&format!(
            "{} synthetic faces stream into {} while rounds run; a simulated annotator answers the queue",
            args.faces,
            scratch.inbox.display()
        ))?;
    }
    let demo = Demo { args: &args, console, opened: &opened, scratch: &scratch, reporter, token: token.clone() };
    let rows = demo.run().await;
    handle.finish();
    let (rows, last) = rows?;
    let after = |text: &str| format!("{text}\n\n{}", next_steps(&scratch));
    console.print(&rows, |_| after(""))?;
    match last {
        Some(round) if round.subset_one == 0 => Err(Error::DemoFailed { what: "empty" }),
        Some(round) if round.subset_two == 0 => Err(Error::DemoFailed { what: "everything" }),
        _ if args.open => page::open(opened, console, &token).await,
        _ => Ok(()),
    }
}

/// Folders of the demo; temporary ones go with it, a corpus that was asked for stays.
struct Scratch {
    corpus: PathBuf,
    inbox: PathBuf,
    validation: PathBuf,
    twin: PathBuf,
    root: PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(corpus: Option<&Path>) -> Self {
        let root = std::env::temp_dir().join(format!("marginalia-demo-{}", std::process::id()));
        Self {
            corpus: corpus.map_or_else(|| root.join("corpus"), Path::to_owned),
            inbox: root.join("inbox"),
            validation: root.join("validation"),
            twin: root.join("twin"),
            keep: corpus.is_some(),
            root,
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Left-overs in the temporary folder are harmless.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// A corpus with the demo's settings and its validation faces.
async fn prepare(folder: &Path, seed: u64) -> Result<Opened> {
    init::create(folder, None).await?;
    let path = folder.join(FILE_NAME);
    let text = std::fs::read_to_string(&path).map_err(Error::io(&path))?;
    let replace = |line: &str| match CONFIG.iter().find(|(key, _)| line.starts_with(key)) {
        Some((key, setting)) if *key == "[train]" => format!("{setting}\nseed = {seed}\n"),
        Some((_, setting)) => format!("{setting}\n"),
        None => format!("{line}\n"),
    };
    let text: String = text.lines().map(replace).collect();
    Config::parse(&text)?;
    std::fs::write(&path, text).map_err(Error::io(&path))?;
    Opened::at(folder).await
}

struct Demo<'a> {
    args: &'a Args,
    console: &'a Console,
    opened: &'a Opened,
    scratch: &'a Scratch,
    reporter: Reporter,
    token: CancellationToken,
}

#[derive(Deserialize)]
struct Count {
    n: u64,
}

impl Demo<'_> {
    async fn run(&self) -> Result<(Vec<Row>, Option<Round>)> {
        let classes = Classes::new(self.opened.corpus.classes().to_vec())?;
        self.import_validation(&classes).await?;
        let stream = Stream::new(&self.opened.corpus, &classes, SIDE, self.args.seed, &self.scratch.inbox)?;
        let background = self.token.child_token();
        let ingesting = self.start_ingest(&background);
        let context = RoundContext {
            corpus: self.opened.corpus.clone(),
            sql: self.opened.sql.clone(),
            config: self.opened.config.clone(),
            reporter: self.reporter.clone(),
            token: self.token.clone(),
        };
        let annotator = Annotator::new(self.opened);
        let mut twin = Twin::new("supervised", &self.scratch.twin);
        let mut rows = Vec::new();
        let mut last = None;
        let part = self.args.faces.div_ceil(u64::from(self.args.rounds.max(1)));
        self.print_header()?;
        for number in 0..self.args.rounds {
            let come = (u64::from(number + 1) * part).min(self.args.faces);
            stream.send(come).await?;
            self.wait_for(come + VALIDATION).await?;
            annotator.answer(self.args.labels).await?;
            let supervised = twin.round(&context).await?;
            let request = RoundRequest { trigger: "manual".to_owned(), init: None };
            let Some(round) = run_round(&context, &request).await? else {
                return Err(Error::Interrupted { what: "the demo" });
            };
            let row = self.row(&round, supervised.map(|metrics| metrics.macro_f1)).await?;
            self.print_row(&row)?;
            rows.push(row);
            last = Some(round);
        }
        background.cancel();
        ingesting.await.map_err(Error::task)??;
        Ok((rows, last))
    }

    async fn import_validation(&self, classes: &Classes) -> Result<()> {
        // Faces from another seed: other people than those who stream in.
        write_labelled(&self.scratch.validation, classes, SIDE, self.args.seed + 1_000_003, VALIDATION)?;
        let request = ImportRequest {
            data_set: DataSet {
                reader: reader("imagefolder")?,
                path: self.scratch.validation.clone(),
                options: Options::new(),
                class_map: None,
            },
            split: Some(Split::Validation),
            budget: LabelBudget::All,
            hold_out: None,
            by_subject: false,
            unlabelled: false,
            keep_truth: false,
            seed: self.args.seed,
            limits: self.opened.config.ingest.limits(),
        };
        import(&self.opened.corpus, &self.opened.sql, request, &self.reporter).await.map(drop)
    }

    fn start_ingest(&self, token: &CancellationToken) -> tokio::task::JoinHandle<Result<()>> {
        let context = IngestContext {
            corpus: self.opened.corpus.clone(),
            config: self.opened.config.ingest.clone(),
            reporter: self.reporter.clone(),
            token: token.clone(),
            arrivals: None,
        };
        let request = IngestRequest { paths: vec![self.scratch.inbox.clone()], stream: "demo".to_owned(), watch: true };
        tokio::spawn(async move { ingest(&context, &request).await.map(drop) })
    }

    /// Waits until so many faces are in; the stream has no repeats.
    async fn wait_for(&self, faces: u64) -> Result<()> {
        loop {
            let stored = self.opened.corpus.snapshot().await?.count(TableId::Faces, None).await?;
            if stored >= faces {
                return Ok(());
            }
            tokio::select! {
                () = self.token.cancelled() => return Err(Error::Interrupted { what: "the demo" }),
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    }

    async fn row(&self, round: &Round, supervised_macro_f1: Option<f64>) -> Result<Row> {
        let snapshot = self.opened.corpus.snapshot().await?;
        let session = Session::open(&self.opened.sql, snapshot.clone(), SqlLimits::default()).await?;
        let precision = against_truth(&session).await?;
        let count = async |sql: &str| -> Result<u64> {
            let rows: Vec<Count> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
            Ok(rows.first().map_or(0, |row| row.n))
        };
        Ok(Row {
            round: round.round,
            faces: snapshot.count(TableId::Faces, None).await?,
            labelled: round.labelled,
            subset_one: round.subset_one,
            subset_one_precision: precision.of_subset_one(),
            precision_of_all: precision.of_all(),
            corpus: count("select count(*) as n from corpus where split = 'train'").await?,
            queue: count("select count(*) as n from queue").await?,
            macro_f1: round.validation_macro_f1.map(f64::from),
            supervised_macro_f1,
        })
    }

    fn print_header(&self) -> Result<()> {
        if self.console.json {
            return Ok(());
        }
        write_out(
            "\nround   faces  labelled  subset I  (right)   all right   corpus   queue   macro-F1  (supervised)\n\
             ────────────────────────────────────────────────────────────────────────────────────────────",
        )
    }

    fn print_row(&self, row: &Row) -> Result<()> {
        if self.console.json {
            return Ok(());
        }
        write_out(&format!(
            "{:>5}  {:>6}  {:>8}  {:>8}  {:>7}   {:>9}   {:>6}   {:>5}   {:>8}  {:>12}",
            row.round,
            row.faces,
            row.labelled,
            row.subset_one,
            percent(row.subset_one_precision),
            percent(row.precision_of_all),
            row.corpus,
            row.queue,
            percent(row.macro_f1),
            percent(row.supervised_macro_f1),
        ))
    }
}

fn next_steps(scratch: &Scratch) -> String {
    let rows = [
        (
            "how sure is the model of each class?",
            "select expression, count(*), avg(confidence), avg(margin) from current_predictions group by expression",
        ),
        (
            "how did the margins move?",
            "select round, epoch, expression, margin from margin_history order by round, epoch",
        ),
        ("what should people see next?", "select rank, lane, reason, face_id from queue order by rank limit 10"),
    ];
    let where_to = if scratch.keep {
        format!("in {}", scratch.corpus.display())
    } else {
        "(this corpus was temporary; `marginalia --corpus DIR demo` keeps it)".to_owned()
    };
    let questions = table(
        &["ask", "marginalia sql \"…\""],
        &[],
        rows.iter().map(|(ask, sql)| vec![(*ask).to_owned(), (*sql).to_owned()]),
    );
    format!("What you would type next {where_to}:\n{questions}")
}

//! The command line: arguments in, one command run, an exit code out.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::commands;
use crate::console::Console;
use crate::error::Result;

/// Grows a labelled facial-expression corpus out of a stream of faces.
#[derive(Debug, Parser)]
#[command(name = "marginalia", version, max_term_width = 120)]
pub struct Cli {
    /// Folder or URI of the corpus [default: MARGINALIA_CORPUS, or the folder at or above this one with a marginalia.toml]
    #[arg(long, global = true, value_name = "DIR|URI")]
    pub corpus: Option<PathBuf>,
    /// Print one JSON document (a line per event for long work) on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])+ $variant:ident => $module:ident;)*) => {
        /// One variant per file in `commands/`.
        #[derive(Debug, Subcommand)]
        pub enum Command {
            $($(#[doc = $doc])+ $variant(commands::$module::Args),)*
        }

        impl Command {
            /// Runs it.
            pub async fn run(self, console: &Console) -> Result<()> {
                match self {
                    $(Command::$variant(args) => commands::$module::run(args, console).await,)*
                }
            }
        }
    };
}

commands! {
    /// Make an empty corpus
    Init => init;
    /// Read a data set into the corpus
    Import => import;
    /// Take in the images of folders, once or as they come
    Ingest => ingest;
    /// Run a training round, or one whenever it is due
    Train => train;
    /// Ingest, train and care for the corpus in one process
    Run => run;
    /// Serve the annotation page, the HTTP API and SQL for PostgreSQL's clients
    Serve => serve;
    /// Ask the corpus in SQL
    Sql => sql;
    /// Show what the corpus holds and what to look at
    Status => status;
    /// List the rounds, or show one
    Rounds => rounds;
    /// Tell a face's whole story
    Explain => explain;
    /// Label a face
    Label => label;
    /// Take a label back
    Unlabel => unlabel;
    /// Measure a checkpoint on a labelled data set
    Evaluate => evaluate;
    /// Compare methods and settings by many training runs
    Experiment => experiment;
    /// Say what the current teacher sees in images
    Predict => predict;
    /// Read everything back and check it
    Verify => verify;
    /// Write the labelled faces down for others
    Export => export;
    /// Copy the corpus into a folder, or bring such a copy up to date
    Backup => backup;
    /// Make a corpus out of a backup
    Restore => restore;
    /// Remove faces from the corpus for good
    Forget => forget;
    /// Compact, index and clean up now
    Compact => compact;
    /// Make, rotate, list and revoke the tokens that let others in
    Token => token;
    /// Start the roles of a cluster, or show what it does
    Cluster => cluster;
    /// Check or show the curriculum's SQL
    Curriculum => curriculum;
    /// Watch the whole loop work on synthetic faces
    Demo => demo;
    /// Measure speed
    Bench => bench;
}

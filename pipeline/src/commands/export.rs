//! `export`: the labelled faces as files for others.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use indicatif::{ProgressBar, ProgressStyle};

use crate::console::Console;
use crate::error::{Error, Result};
use crate::export::{Export, ExportRequest, FORMATS, Format, export};
use crate::moment::MomentArgs;
use crate::shutdown;

/// Arguments of `export`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to: new, empty, or with an export of the same that was broken off
    pub folder: PathBuf,
    /// Form of the files
    #[arg(long, default_value = "parquet", value_parser = PossibleValuesParser::new(FORMATS.iter().map(|format| format.name())))]
    pub format: String,
    /// When.
    #[command(flatten)]
    pub at: MomentArgs,
    /// Only faces for which this holds; the columns are those of the view `provenance`
    #[arg(long = "where", value_name = "SQL")]
    pub condition: Option<String>,
    /// Only labels of these origins: human, import, simulated, pseudo
    #[arg(long, value_delimiter = ',', value_parser = PossibleValuesParser::new(["human", "import", "simulated", "pseudo"]))]
    pub origin: Vec<String>,
    /// Only labels of at least this confidence, 0 to 1
    #[arg(long, value_name = "X")]
    pub min_confidence: Option<f32>,
}

/// Runs `export`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let opened = console.open_to_read_once().await?;
    let filter = filter(&args);
    let format: &'static dyn Format = *FORMATS
        .iter()
        .find(|format| format.name() == args.format)
        .ok_or_else(|| Error::Internal { what: format!("format {} is not listed", args.format) })?;
    let request = ExportRequest { folder: args.folder, format, at: args.at.moment(), filter };
    let bar = ProgressBar::new(0).with_message("parts");
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    let mut progress = |done: u32, parts: u32| {
        bar.set_length(parts.into());
        bar.set_position(done.into());
    };
    let token = shutdown::on_signals()?;
    let outcome = export(&opened.corpus, &opened.sql, &request, &token, &mut progress).await;
    bar.finish_and_clear();
    let export = outcome?;
    let detail = format!("{} faces as {}", export.faces.iter().sum::<u64>(), args.format);
    opened.note("exported", Some(request.folder.display().to_string()), Some(detail)).await?;
    console.print(&export, |export| people(export, &request))
}

/// One condition out of the three ways to say one.
fn filter(args: &Args) -> Option<String> {
    let origins = args.origin.iter().map(|origin| format!("'{origin}'")).collect::<Vec<_>>().join(", ");
    let origins = (!origins.is_empty()).then(|| format!("origin in ({origins})"));
    let confidence = args.min_confidence.map(|least| format!("confidence >= {least}"));
    let own = args.condition.as_ref().map(|condition| format!("({condition})"));
    let all: Vec<String> = [origins, confidence, own].into_iter().flatten().collect();
    (!all.is_empty()).then(|| all.join(" and "))
}

fn people(export: &Export, request: &ExportRequest) -> String {
    format!(
        "{} faces in {} parts; {} says what they are",
        export.faces.iter().sum::<u64>(),
        export.parts,
        request.folder.join("README.md").display()
    )
}

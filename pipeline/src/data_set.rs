//! Which data set a command reads.
//!
//! In: the words of a command line. Out: the reader, by the name of its format or recognised by what lies there, with what was
//! chosen where the format leaves a choice.

use std::path::PathBuf;

use marginalia_datasets::{ClassMap, Options, Reader, reader, readers, recognise};

use crate::error::Result;

/// The word for a format that is to be found out.
const AUTO: &str = "auto";

/// Arguments that name a data set.
#[derive(Clone, Debug, clap::Args)]
#[command(after_long_help = formats())]
pub struct DataSetArgs {
    /// Format: `auto` finds it out; `--help` lists them
    pub format: String,
    /// Folder, .tar, .tar.gz, .zip or table
    pub path: PathBuf,
    /// What to choose where the format leaves a choice, as in frames=3; may be given several times
    #[arg(long = "option", value_name = "NAME=VALUE")]
    pub options: Vec<String>,
    /// What numbers mean as classes, as in affectnet
    #[arg(long, value_name = "NAME")]
    pub class_map: Option<String>,
}

/// A data set as it is to be read.
#[derive(Clone)]
pub struct DataSet {
    /// The format.
    pub reader: &'static dyn Reader,
    /// Folder, archive or table.
    pub path: PathBuf,
    /// What was chosen where the format leaves a choice.
    pub options: Options,
    /// What numbers mean as classes.
    pub class_map: Option<&'static ClassMap>,
}

impl DataSetArgs {
    /// The data set that they name. One that is recognised is told on stderr, with the reason.
    pub fn data_set(&self) -> Result<DataSet> {
        let reader = match self.format.eq_ignore_ascii_case(AUTO) {
            true => {
                let recognised = recognise(&self.path)?;
                eprintln!("{}: {}", recognised.reader.name(), recognised.evidence);
                recognised.reader
            }
            false => reader(&self.format)?,
        };
        let options = Options::of(reader, &self.options)?;
        let class_map = self.class_map.as_deref().map(ClassMap::named).transpose()?;
        Ok(DataSet { reader, path: self.path.clone(), options, class_map })
    }
}

/// Every format with its choices, for help.
fn formats() -> String {
    let mut text = "Formats:".to_owned();
    for reader in readers() {
        text += &format!("\n  {:<14}{}", reader.name(), reader.about());
        for option in reader.options() {
            text += &format!("\n  {:<14}  {option}", "");
        }
    }
    text
}

//! Data sets become corpora, once: below the home corpus's folder `experiments/data`, with all their labels.
//!
//! A corpus is named by the format, the paths and the classes. An import that was killed goes on with the next command; one that
//! was finished leaves a note of what it read.

use std::path::Path;

use marginalia_datasets::{Classes, LabelBudget, Options, Split, reader};
use marginalia_store::write_whole;

use super::data_set::DataSet;
use super::given::{Given, with_options};
use crate::commands::{demo, init};
use crate::config::{Config, FILE_NAME};
use crate::console::Opened;
use crate::data_set::{self, DataSetArgs};
use crate::error::{Error, ExperimentError, Result};
use crate::import::{ImportRequest, import};
use crate::report::{Mode, Reporter};

/// Left in a data set's corpus when it is whole.
const NOTE: &str = "imported.txt";

/// Where faces are drawn before they are imported.
const DRAWN: &str = "drawn";

/// Side of drawn faces, pixels: FER2013's.
const SIDE: u32 = 48;

/// Opens a data set, after making its corpus where that has to be; `home` is the corpus that the experiment belongs to.
///
/// # Errors
/// Those of an import; a corpus without faces to measure on.
pub async fn open(given: &Given, home: &Opened, reporter: &Reporter) -> Result<DataSet> {
    let (place, name) = match given {
        Given::Corpus(folder) => return DataSet::of(&Opened::at(folder).await?, name_of(folder), None).await,
        Given::Synthetic(_) => ("synthetic", "synthetic".to_owned()),
        Given::Files { format, options, .. } => (format.as_str(), with_options(format, options)),
    };
    let key = format!("{given} {}", home.config.classes.join(","));
    let hash = blake3::hash(key.as_bytes()).to_hex();
    let folder = super::folder(home.corpus.path()).join("data").join(format!("{place}-{}", &hash[..12]));
    let opened = made(&folder, given, Known::All, &home.config, reporter).await?;
    DataSet::of(&opened, name, Some(given.clone())).await
}

/// A corpus of the same files in `folder` of which so many labels are known, and the others only to a simulated annotator.
///
/// # Errors
/// A data set that is a corpus; those of an import.
pub async fn hidden(
    data_set: &DataSet,
    labels: LabelBudget,
    seed: u64,
    folder: &Path,
    config: &Config,
) -> Result<Opened> {
    let given = data_set.given().ok_or_else(|| ExperimentError::NothingToHide { dataset: data_set.name.clone() })?;
    let (silent, handle) = Reporter::start(Mode::Silent);
    let opened = made(folder, given, Known::Some { labels, seed }, config, &silent).await;
    handle.finish();
    opened
}

/// Which labels an import takes over.
#[derive(Clone, Copy)]
enum Known {
    All,
    /// So many, drawn by a seed; the truth of the others is kept aside.
    Some {
        labels: LabelBudget,
        seed: u64,
    },
}

/// The corpus in `folder`, imported unless a note says that it was.
async fn made(folder: &Path, given: &Given, known: Known, config: &Config, reporter: &Reporter) -> Result<Opened> {
    let note = folder.join(NOTE);
    if note.exists() {
        return Opened::at(folder).await;
    }
    let parts = parts(given, &folder.join(DRAWN), config)?;
    if !folder.join(FILE_NAME).exists() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        init::create(folder, Some(config.classes.clone())).await?;
    }
    let opened = Opened::at(folder).await?;
    let (budget, seed, keep_truth) = match known {
        Known::All => (LabelBudget::All, 1, false),
        Known::Some { labels, seed } => (labels, seed, true),
    };
    // What is tested on comes first: whether a face may train is known when it is met.
    for (split, data_set) in parts.into_iter().rev() {
        let request = ImportRequest {
            data_set,
            split,
            budget,
            hold_out: None,
            by_subject: false,
            unlabelled: false,
            keep_truth,
            seed,
            limits: config.ingest.limits(),
        };
        let summary = import(&opened.corpus, &opened.sql, request, reporter).await?;
        summary.warnings.into_iter().for_each(|warning| reporter.warn(warning));
    }
    write_whole(&note, given.to_string().as_bytes())?;
    // What was drawn is in the corpus now; left-overs are harmless.
    let _ = std::fs::remove_dir_all(folder.join(DRAWN));
    Ok(opened)
}

/// What is imported: each part's split, whatever its files say, and its files.
fn parts(given: &Given, drawn: &Path, config: &Config) -> Result<Vec<(Option<Split>, data_set::DataSet)>> {
    match given {
        Given::Corpus(_) => Ok(Vec::new()),
        Given::Synthetic(faces) => {
            let classes = config.class_list()?;
            // The test faces are other people's.
            let parts = [(Split::Train, 1, *faces), (Split::Test, 1_000_003, faces.div_ceil(5))];
            parts.into_iter().map(|(split, seed, count)| draw(drawn, &classes, split, seed, count)).collect()
        }
        Given::Files { format, options, paths } => {
            paths.iter().map(|(split, path)| Ok((*split, files(format, options, path)?))).collect()
        }
    }
}

fn files(format: &str, options: &[String], path: &Path) -> Result<data_set::DataSet> {
    let class_map_of = |option: &String| option.strip_prefix("class-map=").map(str::to_owned);
    let words = DataSetArgs {
        format: format.to_owned(),
        path: path.to_owned(),
        options: options.iter().filter(|option| class_map_of(option).is_none()).cloned().collect(),
        class_map: options.iter().find_map(class_map_of),
    };
    words.data_set()
}

/// Draws faces into folders by class.
fn draw(
    folder: &Path,
    classes: &Classes,
    split: Split,
    seed: u64,
    count: u64,
) -> Result<(Option<Split>, data_set::DataSet)> {
    let path = folder.join(split.as_str());
    demo::write_labelled(&path, classes, SIDE, seed, count)?;
    let data_set = data_set::DataSet { reader: reader("imagefolder")?, path, options: Options::new(), class_map: None };
    Ok((Some(split), data_set))
}

/// A corpus is called as its folder is.
pub fn name_of(folder: &Path) -> String {
    folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned()
}

//! `evaluate`: a checkpoint's accuracy, macro-F1, confusion and calibration on a labelled data set.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use marginalia_datasets::{Classes, Item, ReadRequest, Split};
use marginalia_trainer::calibration::{logits_of, scaled_softmax};
use marginalia_trainer::charts::{confusion, reliability};
use marginalia_trainer::{Metrics, Scorer};
use serde_json::{Value, json};

use crate::console::{Console, find_home};
use crate::data_set::DataSetArgs;
use crate::error::{Error, Result};
use crate::memory::Computing;
use crate::tables::{percent, table};

/// Faces predicted together.
const BATCH: usize = 256;

/// Arguments of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to evaluate on.
    #[command(flatten)]
    pub data_set: DataSetArgs,
    /// Checkpoint folder, or its teacher.safetensors [default: the corpus's current round]
    #[arg(long, value_name = "F")]
    pub checkpoint: Option<PathBuf>,
    /// Only faces of this split
    #[arg(long)]
    pub split: Option<Split>,
    /// Folder for reliability.svg and confusion.svg [default: the checkpoint's]
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
}

/// Runs `evaluate`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let asked = Asked::find(args.checkpoint.as_deref(), console).await?;
    let charts = args.charts.clone().unwrap_or_else(|| asked.folder.clone());
    let title = format!("{} on {}", name(&asked.folder), name(&args.data_set.path));
    let evaluated = tokio::task::spawn_blocking(move || {
        let _computing = Computing::network();
        evaluate(&args, &asked)
    })
    .await
    .map_err(Error::task)??;
    evaluated.draw(&title, &charts)?;
    console.print(&evaluated.json(&charts), |_| {
        let drawn = format!("reliability.svg and confusion.svg are in {}", charts.display());
        format!("{}\n{drawn}", evaluated.people())
    })
}

/// The teacher that a command asks.
pub struct Asked {
    /// Folder of its checkpoint.
    pub folder: PathBuf,
    /// Threads that it computes on; 0: all cores.
    pub threads: usize,
    /// Temperature fitted on the validation split of its round, where the corpus knows one.
    pub temperature: Option<f64>,
}

impl Asked {
    /// That of the checkpoint which the command line names, by its folder or the file in it, or of the corpus's current
    /// round.
    pub async fn find(checkpoint: Option<&Path>, console: &Console) -> Result<Self> {
        let Some(path) = checkpoint else { return Self::current(console).await };
        // It is asked without a corpus, too; where there is one, its settings hold.
        let threads = match find_home(console).await {
            Ok(home) => console.config(&home)?.train.threads,
            Err(Error::NoCorpusAbove { .. }) => 0,
            Err(error) => return Err(error),
        };
        let folder = match path.parent() {
            Some(folder) if path.is_file() => folder,
            _ => path,
        };
        Ok(Self { folder: folder.to_owned(), threads, temperature: None })
    }

    async fn current(console: &Console) -> Result<Self> {
        let opened = console.open().await?;
        let snapshot = opened.corpus.snapshot().await?;
        let round = snapshot.current().ok_or(Error::NoTeacher)?;
        Ok(Self {
            folder: opened.corpus.checkpoint(round).await?,
            threads: opened.config.train.threads,
            temperature: round.temperature.map(f64::from),
        })
    }
}

/// The last part of a path, for people.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn evaluate(args: &Args, asked: &Asked) -> Result<Evaluated> {
    let scorer = Scorer::load_with_threads(&asked.folder, asked.threads)?;
    let classes = Classes::new(scorer.classes().to_vec())?;
    let data_set = args.data_set.data_set()?;
    let mut request = ReadRequest::new(&data_set.path, &classes);
    request.class_map = data_set.class_map;
    request.options = &data_set.options;
    let mut evaluation =
        Evaluation { scorer: &scorer, images: Vec::new(), labels: Vec::new(), done: Vec::new(), left_out: 0 };
    let mut failed = None;
    data_set.reader.read(&request, &mut |item| {
        let Item::Face(record) = item else {
            evaluation.left_out += 1;
            return ControlFlow::Continue(());
        };
        let wanted = args.split.is_none() || record.split == args.split;
        match record.given_class.as_deref().and_then(|class| classes.index(class)) {
            Some(class) if wanted => evaluation.add(record.image, class),
            _ => evaluation.left_out += 1,
        }
        if evaluation.images.len() < BATCH {
            return ControlFlow::Continue(());
        }
        match evaluation.predict() {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }
    evaluation.predict()?;
    let (probabilities, labels): (Vec<_>, Vec<_>) = evaluation.done.into_iter().unzip();
    let metrics = Metrics::of(&probabilities, &labels, classes.len()).ok_or(Error::NothingToEvaluate)?;
    // Never fitted on the faces that it is measured on.
    let calibrated = asked.temperature.and_then(|temperature| {
        let scaled: Vec<_> = probabilities.iter().map(|row| scaled_softmax(&logits_of(row), temperature)).collect();
        Some((temperature, Metrics::of(&scaled, &labels, classes.len())?))
    });
    Ok(Evaluated { classes: classes.names().to_vec(), metrics, calibrated, left_out: evaluation.left_out })
}

/// Faces read so far, predicted batch by batch.
struct Evaluation<'a> {
    scorer: &'a Scorer,
    images: Vec<Vec<u8>>,
    labels: Vec<usize>,
    done: Vec<(Vec<f64>, usize)>,
    left_out: u64,
}

impl Evaluation<'_> {
    fn add(&mut self, image: Vec<u8>, class: usize) {
        self.images.push(image);
        self.labels.push(class);
    }

    fn predict(&mut self) -> Result<()> {
        let scores = self.scorer.predict(&self.images)?;
        for (score, label) in scores.into_iter().zip(&self.labels) {
            match score {
                Some(score) => self.done.push((score.probabilities.iter().map(|p| f64::from(*p)).collect(), *label)),
                None => self.left_out += 1,
            }
        }
        self.images.clear();
        self.labels.clear();
        Ok(())
    }
}

/// What the faces of a data set say of a teacher.
struct Evaluated {
    classes: Vec<String>,
    metrics: Metrics,
    /// The temperature of the teacher's round, and the metrics under it.
    calibrated: Option<(f64, Metrics)>,
    left_out: u64,
}

impl Evaluated {
    fn draw(&self, title: &str, folder: &Path) -> Result<()> {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
        let calibrated = self.calibrated.as_ref().map(|(temperature, metrics)| (*temperature, metrics));
        let drawn = [
            ("reliability.svg", reliability(title, &self.metrics, calibrated)),
            ("confusion.svg", confusion(title, &self.metrics, &self.classes)),
        ];
        for (file, svg) in drawn {
            let path = folder.join(file);
            std::fs::write(&path, svg).map_err(Error::io(path))?;
        }
        Ok(())
    }

    fn json(&self, charts: &Path) -> Value {
        let Self { classes, metrics, calibrated, left_out } = self;
        json!({
            "charts": charts,
            "count": metrics.count,
            "left_out": left_out,
            "accuracy": metrics.accuracy,
            "macro_f1": metrics.macro_f1,
            "mean_recall": metrics.mean_recall,
            "per_class": classes.iter().zip(&metrics.per_class).map(|(class, of)| {
                json!({ "expression": class, "labels": of.labels, "predictions": of.predictions,
                        "recall": of.recall, "precision": of.precision, "f1": of.f1 })
            }).collect::<Vec<_>>(),
            "confusion": metrics.confusion,
            "ece": metrics.ece,
            "ece_equal_mass": metrics.ece_equal_mass,
            "ece_classwise": metrics.ece_classwise,
            "nll": metrics.nll,
            "brier": metrics.brier,
            "temperature": calibrated.as_ref().map(|(temperature, _)| temperature),
            "calibrated": calibrated.as_ref().map(|(_, metrics)| {
                json!({ "ece": metrics.ece, "ece_equal_mass": metrics.ece_equal_mass,
                        "ece_classwise": metrics.ece_classwise, "nll": metrics.nll, "brier": metrics.brier })
            }),
        })
    }

    fn people(&self) -> String {
        let Self { classes, metrics, calibrated, left_out } = self;
        let rows = classes.iter().zip(&metrics.per_class).map(|(class, of)| {
            vec![class.clone(), of.labels.to_string(), percent(of.precision), percent(of.recall), percent(of.f1)]
        });
        let per_class = table(&["class", "faces", "precision", "recall", "F1"], &[1, 2, 3, 4], rows);
        let confusion = classes
            .iter()
            .zip(&metrics.confusion)
            .map(|(class, row)| std::iter::once(class.clone()).chain(row.iter().map(u64::to_string)).collect());
        let headers: Vec<&str> = std::iter::once("is ↓ said →").chain(classes.iter().map(String::as_str)).collect();
        let numbers: Vec<usize> = (1..=classes.len()).collect();
        let calibrated = calibrated.as_ref().map_or_else(String::new, |(temperature, metrics)| {
            format!("under the round's temperature {temperature:.2}: {}\n", errors(metrics))
        });
        format!(
            "{} faces ({left_out} left out): accuracy {}, macro-F1 {}, mean recall {}, {}\n{calibrated}{per_class}\n{}",
            metrics.count,
            percent(Some(metrics.accuracy)),
            percent(Some(metrics.macro_f1)),
            percent(Some(metrics.mean_recall)),
            errors(metrics),
            table(&headers, &numbers, confusion)
        )
    }
}

/// How far confidences are from what happened.
fn errors(metrics: &Metrics) -> String {
    let Metrics { nll, brier, ece, ece_equal_mass, ece_classwise, .. } = metrics;
    format!(
        "NLL {nll:.4}, Brier {brier:.4}, ECE {ece:.4} (equal mass {ece_equal_mass:.4}, classwise {ece_classwise:.4})"
    )
}

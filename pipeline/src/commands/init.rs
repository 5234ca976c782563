//! `init`: an empty corpus with its config and curriculum.

use std::path::{Path, PathBuf};

use marginalia_datasets::Classes;
use marginalia_store::Corpus;
use serde_json::json;

use crate::config::{Config, DEFAULT_TEXT, FILE_NAME};
use crate::console::{Console, store_options};
use crate::curriculum;
use crate::error::{Error, Result};

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to make the corpus in, or s3://BUCKET/NAME
    #[arg(value_name = "DIR|URI")]
    pub dir: PathBuf,
    /// Class names in order [default: neutral,happiness,sadness,surprise,fear,disgust,anger]
    #[arg(long, value_delimiter = ',', value_name = "A,B,…")]
    pub classes: Vec<String>,
}

/// Runs `init`.
pub async fn run(args: Args, console: &Console) -> Result<()> {
    let classes = (!args.classes.is_empty()).then_some(args.classes);
    let classes = create(&args.dir, classes).await?;
    let value = json!({ "corpus": args.dir, "classes": classes });
    console.print(&value, |_| {
        let place = args.dir.display();
        let enter = if args.dir.is_dir() { format!("cd {place}") } else { format!("export MARGINALIA_CORPUS={place}") };
        let classes = classes.join(" ");
        format!(
            "made a corpus in {place} with classes {classes}\nnext: {enter}, then `marginalia import …` or `marginalia ingest …`"
        )
    })
}

/// Makes the corpus: tables, config and curriculum.
pub async fn create(dir: &Path, classes: Option<Vec<String>>) -> Result<Vec<String>> {
    let names = Classes::new(classes.unwrap_or_else(|| Config::default().classes))?.names().to_vec();
    let text = config_text(&names);
    let config = Config::parse(&text)?;
    let corpus = Corpus::init(dir, &names, store_options(&config)).await?;
    curriculum::write_defaults(corpus.path(), &config.curriculum)?;
    for file in curriculum::files(&config.curriculum) {
        corpus.home().push(file).await?;
    }
    let path = corpus.path().join(FILE_NAME);
    // The config comes last: it is what makes the folder a corpus to every other command.
    if !path.exists() {
        std::fs::write(&path, text).map_err(Error::io(&path))?;
    }
    corpus.home().push(FILE_NAME).await?;
    Ok(names)
}

fn config_text(classes: &[String]) -> String {
    let list =
        format!("classes = [{}]", classes.iter().map(|class| format!("\"{class}\"")).collect::<Vec<_>>().join(", "));
    DEFAULT_TEXT
        .lines()
        .map(|line| if line.starts_with("classes = ") { list.as_str() } else { line })
        .flat_map(|line| [line, "\n"])
        .collect()
}

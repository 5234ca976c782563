//! The same round by another method, beside the real one and invisible to the corpus: what a demo or an experiment
//! compares with.

use std::path::{Path, PathBuf};

use marginalia_datasets::Classes;
use marginalia_store::{Session, SqlLimits};
use marginalia_trainer::{Control, Metrics, Start, TrainerConfig, Training};

use super::RoundContext;
use super::prepare::prepare;
use crate::computing::on_computing_thread;
use crate::curriculum::{Curriculum, Parameters};
use crate::error::{Error, Result};

/// A method that trains along, from its own last checkpoint.
pub struct Twin {
    method: String,
    folder: PathBuf,
    rounds: u32,
}

impl Twin {
    /// A twin that keeps its checkpoint in `folder`.
    pub fn new(method: &str, folder: &Path) -> Self {
        Self { method: method.to_owned(), folder: folder.to_owned(), rounds: 0 }
    }

    /// Trains one round on what the next real round would see now; returns the last epoch's validation metrics.
    pub async fn round(&mut self, context: &RoundContext) -> Result<Option<Metrics>> {
        let curriculum = Curriculum::load(context.corpus.path(), &context.config.curriculum)?;
        let session = Session::open(&context.sql, context.corpus.snapshot().await?, SqlLimits::default()).await?;
        let config = TrainerConfig { method: self.method.clone(), ..context.config.train.clone() };
        let parameters = Parameters::new(&context.config.round, config.seed);
        let prepared = prepare(&session, &curriculum, parameters, config.soft_targets).await?;
        let classes = Classes::new(context.corpus.classes().to_vec())?;
        let start = if self.rounds == 0 { Start::Scratch } else { Start::Checkpoint(self.folder.clone()) };
        self.rounds += 1;
        let (round, folder) = (self.rounds, self.folder.clone());
        on_computing_thread(move || {
            let mut training = Training::new(config, classes, round, start)?;
            let mut last = None;
            while !training.is_finished() {
                last = training.run_epoch(&prepared.data, &Control::default(), &mut |_| {})?.validation;
            }
            std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
            training.save(&folder)?;
            Ok(last)
        })
        .await?
    }
}

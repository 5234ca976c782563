//! A round: snapshot → curriculum → training → gate → scoring → queue → marker.
//!
//! In: a corpus and why a round is wanted. Out: one more row in `rounds`, or nothing. A round that was killed goes on
//! from its last epoch, and in the middle of its scoring, with the same numbers as if it had not been.

pub mod epochs;
mod gate;
mod map;
pub(crate) mod prepare;
mod queue;
pub mod replay;
mod requests;
mod scoring;
pub mod source;
mod spread;
mod training;
pub mod trigger;
pub mod twin;

use std::path::{Path, PathBuf};

use marginalia_store::tables::rounds::Round;
use marginalia_store::{Corpus, RoundPlan, RoundWriter, Session, SqlLimits, SqlRuntime, Timestamp};
use marginalia_trainer::TrainerConfig;
use marginalia_trainer::checkpoint::STATE_FILE;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, RoundConfig};
use crate::curriculum::{Curriculum, Parameters, files};
use crate::error::{Error, Result};
use crate::events::Event;
use crate::report::Reporter;

use prepare::Prepared;
pub use requests::RoundRequests;
pub use scoring::RANGE;
use training::Trained;
pub use training::stopped_by;

/// Everything a round runs in.
#[derive(Clone)]
pub struct RoundContext {
    /// The corpus.
    pub corpus: Corpus,
    /// Where SQL runs.
    pub sql: SqlRuntime,
    /// The corpus's settings.
    pub config: Config,
    /// Who hears of it.
    pub reporter: Reporter,
    /// Told when to stop.
    pub token: CancellationToken,
}

/// Why and how a round is wanted.
#[derive(Clone, Debug, Default)]
pub struct RoundRequest {
    /// `faces`, `labels`, `time` or `manual`.
    pub trigger: String,
    /// Weights to start from instead of the last accepted round.
    pub init: Option<PathBuf>,
}

/// The settings that a round's plan keeps: with them and the pinned tables it can be run again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PlannedConfig {
    train: TrainerConfig,
    round: RoundConfig,
    /// Weights it starts from; the last accepted round's checkpoint; or nothing.
    init: Option<PathBuf>,
    continues: Option<PathBuf>,
    /// BLAKE3 of the file of weights: with another one it would be another round. Plans of older builds lack it.
    #[serde(default)]
    init_hash: Option<String>,
    /// Whether the pool is scored in chunks of fragments, on a cluster where there is one.
    #[serde(default)]
    in_chunks: bool,
}

/// Runs one round, or goes on with the one that was killed.
///
/// Returns `None` where the token stopped it: its plan stands, and the next call resumes it.
pub async fn run_round(context: &RoundContext, request: &RoundRequest) -> Result<Option<Round>> {
    let started = std::time::Instant::now();
    let (writer, resumed) = match RoundWriter::resume(&context.corpus).await? {
        Some(writer) => (writer, true),
        None => (begin(context, request).await?, false),
    };
    let plan = writer.plan().clone();
    let parsed = serde_json::from_str::<PlannedConfig>(&plan.config)
        .and_then(|planned| Ok((planned, serde_json::from_str::<Curriculum>(&plan.curriculum)?)));
    let (planned, curriculum) = match parsed {
        Ok(parsed) => parsed,
        Err(source) => {
            // A plan of another build: it cannot be resumed, so it must not stand in the way.
            writer.abort().await?;
            return Err(Error::Plan { round: plan.round, source });
        }
    };
    context.reporter.emit(Event::RoundStarted { round: plan.round, method: plan.method, seed: plan.seed, resumed });
    let run = Run { context, writer, planned, curriculum };
    match run.go().await {
        Ok(Some(marker)) => {
            let marker = run.writer.commit(marker).await?;
            report_end(context, &marker, started.elapsed().as_secs_f64());
            Ok(Some(marker))
        }
        Ok(None) => Ok(None),
        Err(mut error) => {
            if would_fail_again(&error) {
                give_up(run.writer, &mut error).await?;
                context.reporter.emit(Event::RoundAborted { round: plan.round, reason: error.to_string() });
            }
            Err(error)
        }
    }
}

/// Errors that lie in what the round was planned on: resuming it would meet them again, so it is given up. After any other
/// (a full disk, say) the plan stands, and the next start goes on with it.
fn would_fail_again(error: &Error) -> bool {
    use marginalia_trainer::Error as Trainer;
    matches!(
        error,
        Error::Trainer(
            Trainer::Setting { .. }
                | Trainer::UnknownMethod { .. }
                | Trainer::UnknownBackbone { .. }
                | Trainer::NoDevice { .. }
                | Trainer::Incompatible { .. }
                | Trainer::NoFaces { .. }
                | Trainer::Undecodable { .. }
                | Trainer::ClassOutOfRange { .. }
                | Trainer::BadTarget { .. }
                | Trainer::BadWeight { .. }
                | Trainer::File { .. }
                | Trainer::Diverged { .. }
                | Trainer::NotFinite { .. }
                | Trainer::NotSaved { .. }
        ) | Error::Curriculum { .. }
            | Error::NoLabels { .. }
            | Error::Progress { .. }
            | Error::Store(marginalia_store::Error::DanglingFace { .. })
    )
}

/// Gives the round up. Where the error names the round's own checkpoint as the last good one, that stays, and the error
/// says where.
async fn give_up(writer: RoundWriter, error: &mut Error) -> Result<()> {
    let folder = writer.folder();
    let is_own = |named: &&mut PathBuf| **named == folder && folder.join(STATE_FILE).exists();
    match last_good(error).filter(is_own) {
        Some(named) => *named = writer.abort_and_keep().await?,
        None => writer.abort().await?,
    }
    Ok(())
}

/// The checkpoint that an error names as good, though what came after it is not.
fn last_good(error: &mut Error) -> Option<&mut PathBuf> {
    use marginalia_trainer::Error as Trainer;
    match error {
        Error::Trainer(Trainer::NotFinite { last_good, .. }) => last_good.as_mut(),
        Error::Trainer(Trainer::NotSaved { path, .. }) => Some(path),
        _ => None,
    }
}

async fn begin(context: &RoundContext, request: &RoundRequest) -> Result<RoundWriter> {
    let Config { train, round, curriculum, .. } = &context.config;
    for file in files(curriculum) {
        context.corpus.home().fetch(file).await?;
    }
    let texts = Curriculum::load(context.corpus.path(), curriculum)?;
    let snapshot = context.corpus.snapshot().await?;
    let continues = match request.init {
        Some(_) => None,
        None => snapshot.current().map(|round| PathBuf::from(&round.checkpoint)),
    };
    let in_chunks = spread::is_worth_it(context, &snapshot).await?;
    let (init, init_hash) = request.init.as_deref().map(first_weights).transpose()?.unzip();
    let (train, round) = (train.clone(), round.clone());
    let planned = PlannedConfig { train, round, init, continues, init_hash, in_chunks };
    let json = |value: std::result::Result<String, serde_json::Error>| {
        value.map_err(|source| Error::Plan { round: 0, source })
    };
    let plan = RoundPlan {
        round: 0,
        method: planned.train.method.clone(),
        seed: planned.train.seed,
        config: json(serde_json::to_string(&planned))?,
        curriculum: json(serde_json::to_string(&texts))?,
        trigger: request.trigger.clone(),
        read_versions: Default::default(),
        started_at: Timestamp::default(),
    };
    // Checked before anything is written: a broken curriculum stops here, with its own message.
    let session = Session::open(&context.sql, snapshot, SqlLimits::default()).await?;
    texts.check(&session).await?;
    prepare::require_labels(&session, &texts, parameters(&planned, planned.train.seed), context.corpus.classes())
        .await?;
    Ok(RoundWriter::begin(&context.corpus, plan).await?)
}

/// Where a file of weights lies, for a round that goes on from another folder, and its BLAKE3.
fn first_weights(file: &Path) -> Result<(PathBuf, String)> {
    let file = std::path::absolute(file).map_err(Error::io(file))?;
    let bytes = std::fs::read(&file).map_err(Error::io(&file))?;
    Ok((file, blake3::hash(&bytes).to_hex().to_string()))
}

fn parameters(planned: &PlannedConfig, seed: u64) -> Parameters {
    Parameters::new(&planned.round, seed)
}

/// One round under way.
struct Run<'a> {
    context: &'a RoundContext,
    writer: RoundWriter,
    planned: PlannedConfig,
    curriculum: Curriculum,
}

impl Run<'_> {
    /// Everything up to the marker; `None` where the token stopped it.
    async fn go(&self) -> Result<Option<Round>> {
        let prepared = self.prepare().await?;
        let Some(trained) = self.train(&prepared).await? else { return Ok(None) };
        let (epochs, margins) = trained.rows(self.round(), self.context.corpus.classes());
        self.writer.write_epochs(epochs, margins).await?;
        let verdict = gate::decide(
            trained.validation_macro_f1(),
            prepared.previous_macro_f1,
            self.planned.round.gate_macro_f1_loss,
        );
        self.context.reporter.emit(Event::GateChecked {
            round: self.round(),
            accepted: verdict.accepted,
            macro_f1: trained.validation_macro_f1().map(f64::from),
            previous_macro_f1: prepared.previous_macro_f1.map(f64::from),
            allowed_loss: self.planned.round.gate_macro_f1_loss,
        });
        let mut counts = scoring::Counts::default();
        if verdict.accepted {
            let scored = match self.planned.in_chunks {
                true => self.score_in_chunks(&prepared, &trained).await?,
                false => self.score(&prepared, &trained).await?,
            };
            let Some(scored) = scored else { return Ok(None) };
            counts = scored;
            self.write_queue().await?;
            self.write_map().await?;
        }
        Ok(Some(self.marker(&prepared, &trained, &verdict, &counts)))
    }

    fn round(&self) -> u32 {
        self.writer.plan().round
    }

    fn seed(&self) -> u64 {
        self.writer.plan().seed
    }

    async fn session(&self) -> Result<Session> {
        Ok(Session::open(&self.context.sql, self.writer.snapshot().clone(), SqlLimits::default()).await?)
    }

    /// Everything the marker says that its commit does not fill in.
    fn marker(
        &self,
        prepared: &Prepared,
        trained: &Trained,
        verdict: &gate::Verdict,
        counts: &scoring::Counts,
    ) -> Round {
        Round {
            round: 0,
            method: String::new(),
            seed: 0,
            config: String::new(),
            curriculum: String::new(),
            read_versions: String::new(),
            written_versions: String::new(),
            trigger: String::new(),
            labelled: prepared.data.labelled.len() as u64,
            unlabelled: prepared.data.unlabelled.len() as u64,
            pool: prepared.pool,
            scored: counts.scored,
            subset_one: counts.subset_one,
            subset_two: counts.subset_two,
            validation: prepared.data.validation.len() as u64,
            validation_accuracy: trained.validation_accuracy(),
            validation_macro_f1: trained.validation_macro_f1(),
            validation_best_macro_f1: trained.best_macro_f1(),
            temperature: counts.temperature,
            accepted: verdict.accepted,
            gate: verdict.reason.clone(),
            checkpoint: relative(self.context.corpus.path(), &self.writer.folder()),
            checkpoint_hash: trained.checkpoint_hash.clone(),
            started_at: Timestamp::default(),
            finished_at: Timestamp::default(),
        }
    }
}

fn relative(corpus: &Path, folder: &Path) -> String {
    folder.strip_prefix(corpus).unwrap_or(folder).to_string_lossy().into_owned()
}

fn report_end(context: &RoundContext, marker: &Round, seconds: f64) {
    if !marker.accepted {
        let reason = marker.gate.clone();
        context.reporter.emit(Event::RoundRejected { round: marker.round, reason, seconds });
        return;
    }
    context.reporter.emit(Event::RoundCommitted {
        round: marker.round,
        scored: marker.scored,
        subset_one: marker.subset_one,
        subset_two: marker.subset_two,
        validation_accuracy: marker.validation_accuracy.map(f64::from),
        validation_macro_f1: marker.validation_macro_f1.map(f64::from),
        seconds,
    });
    if let Some(message) = warning(marker) {
        context.reporter.emit(Event::Warning { message });
    }
}

/// What a user should look at when the split says nothing.
pub fn warning(marker: &Round) -> Option<String> {
    let what = match (marker.subset_one, marker.subset_two) {
        (0, 0) => return None,
        (0, _) => {
            "no face reached its class's margin: train longer, or look at train.feature_scale, train.ema_warmup and \
             train.margin.floor"
        }
        (_, 0) => "every face reached its class's margin: look at train.margin.schedule and train.margin.floor",
        _ => return None,
    };
    Some(format!("round {}: {what}", marker.round))
}

//! What the corpus holds, how far the loop is, what to look at.

use marginalia_store::{Corpus, Session, TableId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::reading::{first, rows};

/// A corpus at a glance.
#[derive(Clone, Debug, Default, PartialEq, Serialize, JsonSchema)]
pub struct Status {
    /// Where it lives.
    pub corpus: String,
    /// Distinct faces.
    pub faces: u64,
    /// Files and records seen.
    pub sightings: u64,
    /// Inputs refused.
    pub rejects: u64,
    /// Labels that count.
    pub labels: u64,
    /// Faces in the queue.
    pub queue: u64,
    /// Faces that may be trained on without a label.
    pub unlabelled: u64,
    /// Finished rounds.
    pub rounds: usize,
    /// The last accepted one.
    pub current_round: Option<u32>,
    /// One that was begun and not finished.
    pub unfinished_round: Option<u32>,
    /// Share of the unlabelled faces that the last round trained on.
    pub pool_share: Option<f64>,
    /// Faces by class.
    pub classes: Vec<ClassCount>,
    /// What to look at, for people.
    pub warnings: Vec<String>,
}

/// Faces whose current label is one class, by the label's origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClassCount {
    /// The class.
    pub expression: String,
    /// Labelled by people.
    pub human: u64,
    /// Labelled by an import.
    pub imported: u64,
    /// Labelled by a simulated annotator.
    pub simulated: u64,
    /// With a pseudo-label.
    pub pseudo: u64,
    /// All of these.
    pub total: u64,
}

#[derive(Deserialize)]
struct Withheld {
    round: u32,
    expression: String,
    audited: u64,
    correct: u64,
}

#[derive(Deserialize)]
struct Number {
    n: u64,
}

impl Status {
    /// Reads it; the session is over the corpus.
    pub async fn read(corpus: &Corpus, session: &Session) -> Result<Self> {
        let snapshot = session.snapshot();
        let faces = match corpus.may_hold_copies(snapshot)? {
            true => number(session, "select count(*) as n from (select distinct face_id from faces)").await?,
            false => snapshot.count(TableId::Faces, None).await?,
        };
        let mut status = Self {
            corpus: corpus.home().place(),
            faces,
            sightings: snapshot.count(TableId::Sightings, None).await?,
            rejects: snapshot.count(TableId::Rejects, None).await?,
            labels: number(session, "select count(*) as n from current_labels").await?,
            queue: number(session, "select count(*) as n from queue").await?,
            unlabelled: number(session, "select count(*) as n from unlabelled").await?,
            rounds: snapshot.rounds().len(),
            current_round: snapshot.current_round(),
            unfinished_round: corpus.planned_round(snapshot.rounds()).await?,
            ..Self::default()
        };
        let sql = "select expression, human, imported, simulated, pseudo, total from class_balance";
        status.classes = rows(session, sql).await?;
        status.classes.sort_by_key(|row| corpus.classes().iter().position(|class| *class == row.expression));
        if let Some(last) = snapshot.rounds().last() {
            status.pool_share = (last.pool > 0).then(|| last.unlabelled as f64 / last.pool as f64);
            if !last.accepted {
                status.warnings.push(format!("round {} was rejected by the gate: {}", last.round, last.gate));
            }
        }
        status.warnings.extend(withheld(session).await?);
        for file in corpus.set_aside()? {
            status.warnings.push(format!("{} was broken and set aside; see `marginalia verify`", file.display()));
        }
        if let Err(error) = corpus.check_room(0) {
            status.warnings.push(error.to_string());
        }
        Ok(status)
    }
}

/// Classes that have no pseudo-labels because people found them wrong too often.
async fn withheld(session: &Session) -> Result<Vec<String>> {
    let sql = "select round, expression, audited, correct from pseudo_label_audit where withheld order by expression";
    let rows: Vec<Withheld> = rows(session, sql).await?;
    let target = session.snapshot().audit().target;
    let message = |row: Withheld| {
        format!(
            "class {} has no pseudo-labels: of those that people checked in round {}, {} of {} are right, which is \
             less than round.audit_target = {target}",
            row.expression, row.round, row.correct, row.audited
        )
    };
    Ok(rows.into_iter().map(message).collect())
}

async fn number(session: &Session, sql: &str) -> Result<u64> {
    let number: Option<Number> = first(session, sql).await?;
    Ok(number.map_or(0, |row| row.n))
}

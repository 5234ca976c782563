//! What a round trains on: the curriculum's rows, joined with the places of their images.

use std::collections::HashMap;
use std::sync::Arc;

use marginalia_datasets::Classes;
use marginalia_store::Session;
use marginalia_trainer::{LabelledFace, RoundData, UnlabelledFace};
use serde::Deserialize;

use super::source::SnapshotFaces;
use super::{Run, parameters};
use crate::curriculum::{Curriculum, LabelledRow, Parameters};
use crate::error::{Error, Result};
use crate::events::Event;

/// A round's data and what stands around it.
pub(super) struct Prepared {
    /// S, U and the validation split.
    pub data: RoundData,
    /// All faces that U could be drawn from.
    pub pool: u64,
    /// Macro-F1 of the last accepted round.
    pub previous_macro_f1: Option<f32>,
}

#[derive(Deserialize)]
struct Count {
    n: u64,
}

/// Votes that were imported with a label.
#[derive(Deserialize)]
struct Votes {
    face_id: String,
    expression: String,
    votes: Vec<u32>,
}

/// Refuses a round without anything to learn from, with what to do about it.
pub(super) async fn require_labels(
    session: &Session,
    curriculum: &Curriculum,
    parameters: Parameters,
    classes: &[String],
) -> Result<()> {
    let labelled = curriculum.labelled(session, parameters).await?;
    // Which of the classes have no face is told when training begins.
    let has_any = labelled.iter().any(|row| classes.contains(&row.expression));
    if labelled.len() < 2 || !has_any {
        return Err(Error::NoLabels { labelled: labelled.len() });
    }
    Ok(())
}

/// Runs the curriculum on a snapshot; with `soft_targets` labelled faces come with the votes for them.
pub(super) async fn prepare(
    session: &Session,
    curriculum: &Curriculum,
    parameters: Parameters,
    soft_targets: bool,
) -> Result<Prepared> {
    let labelled = curriculum.labelled(session, parameters).await?;
    let unlabelled = curriculum.unlabelled(session, parameters).await?;
    let sql = "select face_id, expression, 1.0 as weight from corpus where split = 'validation' \
               and origin <> 'pseudo' order by face_id";
    let validation: Vec<LabelledRow> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    let pool: Vec<Count> =
        session.query_trusted("select count(*) as n from unlabelled", Vec::new()).await?.rows().await?;
    let ids = labelled.iter().map(|row| &row.face_id).chain(unlabelled.iter().map(|row| &row.face_id));
    let ids: Vec<String> = ids.chain(validation.iter().map(|row| &row.face_id)).cloned().collect();
    let snapshot = session.snapshot().clone();
    let mut places = snapshot.places(&ids).await?.into_iter();
    let classes = Classes::new(snapshot.classes().to_vec())?;
    let file = &curriculum.files.labelled;
    let mut labelled = labelled_faces(file, labelled, &mut places, &classes)?;
    if soft_targets {
        add_votes(session, &mut labelled, &classes).await?;
    }
    let unlabelled: Vec<UnlabelledFace> = unlabelled
        .into_iter()
        .zip(places.by_ref())
        .map(|(row, index)| UnlabelledFace { face_id: row.face_id, index, weight: row.weight })
        .collect();
    let validation = labelled_faces(file, validation, &mut places, &classes)?;
    let pool = pool.first().map_or(0, |row| row.n);
    let previous_macro_f1 = snapshot.current().and_then(|round| round.validation_macro_f1);
    let source = Arc::new(SnapshotFaces::new(snapshot));
    Ok(Prepared { data: RoundData { labelled, unlabelled, validation, source }, pool, previous_macro_f1 })
}

impl Run<'_> {
    /// What this round trains on.
    pub(super) async fn prepare(&self) -> Result<Prepared> {
        let session = self.session().await?;
        let prepared = prepare(
            &session,
            &self.curriculum,
            parameters(&self.planned, self.seed()),
            self.planned.train.soft_targets,
        )
        .await?;
        self.context.reporter.emit(Event::RoundPlanned {
            round: self.round(),
            labelled: prepared.data.labelled.len() as u64,
            unlabelled: prepared.data.unlabelled.len() as u64,
            pool: prepared.pool,
            validation: prepared.data.validation.len() as u64,
            epochs: self.planned.train.epochs_per_round,
            steps_per_epoch: self.planned.train.steps_per_epoch,
        });
        Ok(prepared)
    }
}

fn labelled_faces(
    file: &str,
    rows: Vec<LabelledRow>,
    places: &mut impl Iterator<Item = u64>,
    classes: &Classes,
) -> Result<Vec<LabelledFace>> {
    rows.into_iter()
        .zip(places)
        .map(|(row, index)| {
            let class = classes.index(&row.expression).ok_or_else(|| Error::Curriculum {
                file: file.to_owned(),
                problem: format!(
                    "face {} has class {}; the corpus has {}",
                    row.face_id,
                    row.expression,
                    classes.names().join(", ")
                ),
            })?;
            Ok(LabelledFace { face_id: row.face_id, index, class, target: None, weight: row.weight })
        })
        .collect()
}

/// The votes that were imported with labels, by face and class, in the order of the corpus's classes; those of several
/// sightings of a face add up.
pub(crate) async fn votes(session: &Session) -> Result<HashMap<(String, String), Vec<f32>>> {
    let sql =
        "select face_id, expression, votes from current_labels where votes is not null and expression is not null";
    let rows: Vec<Votes> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    let mut sums: HashMap<(String, String), Vec<f32>> = HashMap::new();
    for Votes { face_id, expression, votes } in rows {
        let sum = sums.entry((face_id, expression)).or_insert_with(|| vec![0.0; votes.len()]);
        sum.iter_mut().zip(votes).for_each(|(sum, votes)| *sum += votes as f32);
    }
    Ok(sums)
}

/// Makes the votes for a face its target where they came with the class that it has.
async fn add_votes(session: &Session, labelled: &mut [LabelledFace], classes: &Classes) -> Result<()> {
    let mut votes = votes(session).await?;
    for face in labelled {
        face.target = votes.remove(&(face.face_id.clone(), classes.names()[face.class].clone()));
    }
    Ok(())
}

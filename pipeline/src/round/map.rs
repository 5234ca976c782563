//! The round's map: where each face stands, by what the round's teacher finds alike.
//!
//! In: the features that scoring wrote, and the map of the round before. Out: rows of `projections`. Of more faces than the map
//! holds a sample is drawn: ids are hashes, so those below a bound are one.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroUsize;

use marginalia_store::tables::embeddings::Embedding;
use marginalia_store::tables::projections::Projection;
use marginalia_store::{FEATURE_LENGTH, TableId};
use marginalia_trainer::projection::{Place, project};

use super::Run;
use crate::computing::on_computing_thread;
use crate::error::Result;

impl Run<'_> {
    /// Draws the map, unless the settings want none.
    pub(super) async fn write_map(&self) -> Result<()> {
        let most = self.planned.round.map_faces;
        if most == 0 {
            return Ok(());
        }
        let snapshot = self.context.corpus.snapshot().await?;
        let of_round = format!("round = {}", self.round());
        let kept = snapshot.count(TableId::Embeddings, Some(&of_round)).await?;
        let sample = match most < kept {
            true => {
                format!("{of_round} AND face_id < '{:08x}'", (most as f64 / kept as f64 * f64::from(u32::MAX)) as u32)
            }
            false => of_round,
        };
        let mut embeddings = snapshot.rows::<Embedding>(Some(&sample)).await?;
        // A round that was killed may have written some twice.
        let mut seen = HashSet::new();
        embeddings.retain(|face| seen.insert(face.face_id.clone()));
        let before: HashMap<String, Place> = match snapshot.current_round() {
            Some(round) => {
                let rows = snapshot.rows::<Projection>(Some(&format!("round = {round}"))).await?;
                rows.into_iter().map(|row| (row.face_id, [row.x, row.y])).collect()
            }
            None => HashMap::new(),
        };
        let before: Vec<Option<Place>> = embeddings.iter().map(|face| before.get(&face.face_id).copied()).collect();
        let (face_ids, features): (Vec<String>, Vec<_>) =
            embeddings.into_iter().map(|face| (face.face_id, face.feature.0)).unzip();
        let threads = self.planned.train.threads;
        let places = on_computing_thread(move || {
            let features = features.into_iter().flatten().map(f32::from).collect();
            let length = NonZeroUsize::new(FEATURE_LENGTH).unwrap_or(NonZeroUsize::MIN);
            project(features, length, &before, threads)
        })
        .await??;
        let round = self.round();
        let row = |(face_id, [x, y]): (String, Place)| Projection { round, face_id, x, y };
        Ok(self.writer.write_projections(face_ids.into_iter().zip(places).map(row).collect()).await?)
    }
}

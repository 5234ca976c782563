//! What an import says at its end: per class what was read, kept, labelled and held out, and the data set's dirt.

use datafusion::prelude::SessionContext;
use marginalia_datasets::{Classes, Split, count_differences};
use marginalia_store::Session;
use serde::{Deserialize, Serialize};

use super::ImportRequest;
use super::choose::{Choice, count, for_each_pair};
use crate::error::Result;

/// The summary of one import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ImportSummary {
    /// Name of the format.
    pub dataset: String,
    /// Faces read, repeats included.
    pub read: u64,
    /// Distinct faces among them.
    pub distinct: u64,
    /// Faces read again.
    pub repeats: u64,
    /// Faces that the corpus did not hold before.
    pub new_faces: u64,
    /// Refused, see table `rejects`.
    pub rejected: u64,
    /// Not meant as faces.
    pub skipped: u64,
    /// Distinct faces given two classes.
    pub label_conflicts: u64,
    /// Distinct faces that other imports or streams hold too.
    pub in_other_sources: u64,
    /// Distinct faces that stand in an evaluation split and elsewhere: they do not train.
    pub leaked: u64,
    /// Labelled faces that left the training set because an evaluation split holds them.
    pub labels_lost_to_evaluation: u64,
    /// Labels written.
    pub labels: u64,
    /// Distinct faces held out.
    pub held_out: u64,
    /// By class.
    pub classes: Vec<ClassSummary>,
    /// Where counts are not the published ones.
    pub warnings: Vec<String>,
}

/// One class's row.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ClassSummary {
    /// Class name.
    pub expression: String,
    /// Faces read.
    pub read: u64,
    /// Distinct faces.
    pub distinct: u64,
    /// Distinct training faces with a known label.
    pub labelled: u64,
    /// Distinct faces in evaluation splits with a known label.
    pub evaluation: u64,
}

#[derive(Deserialize)]
struct Number {
    n: u64,
}

#[derive(Deserialize)]
struct Labelled {
    expression: String,
    evaluation: bool,
    n: u64,
}

impl ImportSummary {
    pub(super) fn new(request: &ImportRequest) -> Self {
        Self { dataset: request.data_set.reader.name().to_owned(), ..Self::default() }
    }

    /// Everything that is a query over what was seen and what is stored now.
    pub(super) async fn fill(
        &mut self,
        session: &Session,
        seen: &SessionContext,
        choice: &Choice,
        classes: &Classes,
        request: &ImportRequest,
    ) -> Result<()> {
        self.distinct = count(seen, "select count(distinct face_id) from seen").await?;
        self.repeats = self.read - self.distinct;
        self.held_out = choice.held_out.len() as u64;
        self.label_conflicts = count(
            seen,
            "select count(*) from (select face_id from seen where given_class is not null group by face_id \
             having count(distinct given_class) > 1)",
        )
        .await?;
        let prefix = marginalia_datasets::encode_path(&request.data_set.path).replace('\'', "''");
        let mine = format!("starts_with(source, '{prefix}')");
        self.in_other_sources = number(
            session,
            &format!(
                "select count(*) as n from (select face_id from sightings where {mine} and face_id is not null group by face_id) a \
                 left semi join (select face_id from sightings where not {mine}) b on a.face_id = b.face_id"
            ),
        )
        .await?;
        self.leaked = number(
            session,
            &format!(
                "select count(*) as n from (select face_id from sightings where face_id is not null group by face_id \
                 having count(*) filter (where {mine}) > 0 and \
                 count(*) filter (where split in ('validation', 'test')) between 1 and count(*) - 1)"
            ),
        )
        .await?;
        self.labels_lost_to_evaluation = number(
            session,
            &format!(
                "select count(*) as n from (select face_id from current_labels \
                 where source is null or not starts_with(source, '{prefix}') group by face_id) l left semi join \
                 (select face_id from sightings where face_id is not null group by face_id \
                 having count(*) filter (where {mine} and split in ('validation', 'test')) > 0 \
                 and count(*) filter (where not {mine} and split in ('validation', 'test')) = 0) e on l.face_id = e.face_id"
            ),
        )
        .await?;
        self.fill_classes(session, seen, classes, &mine).await?;
        self.compare(seen, classes, request).await
    }

    async fn fill_classes(
        &mut self,
        session: &Session,
        seen: &SessionContext,
        classes: &Classes,
        mine: &str,
    ) -> Result<()> {
        self.classes = classes
            .names()
            .iter()
            .map(|name| ClassSummary { expression: name.clone(), ..ClassSummary::default() })
            .collect();
        let sql = "select given_class, concat(cast(count(*) as varchar), ' ', cast(count(distinct face_id) as varchar)) \
                   from seen where given_class is not null group by given_class";
        for_each_pair(seen, sql, |class, counts| {
            let mut counts = counts.split(' ').map(|n| n.parse().unwrap_or(0));
            if let Some(i) = classes.index(class) {
                self.classes[i].read = counts.next().unwrap_or(0);
                self.classes[i].distinct = counts.next().unwrap_or(0);
            }
        })
        .await?;
        let sql = format!(
            "select expression, evaluation, count(*) as n from (select l.face_id, l.expression, \
             max(case when s.split in ('validation', 'test') then 1 else 0 end) = 1 as evaluation \
             from current_labels l join sightings s on l.face_id = s.face_id \
             where l.origin = 'import' and l.expression is not null and l.face_id in \
             (select face_id from sightings where {mine}) group by l.face_id, l.expression) \
             group by expression, evaluation"
        );
        let rows: Vec<Labelled> = session.query_trusted(&sql, Vec::new()).await?.rows().await?;
        for row in rows {
            if let Some(i) = classes.index(&row.expression) {
                let class = &mut self.classes[i];
                *(if row.evaluation { &mut class.evaluation } else { &mut class.labelled }) += row.n;
            }
        }
        Ok(())
    }

    /// Compares with the published counts, split by split.
    async fn compare(&mut self, seen: &SessionContext, classes: &Classes, request: &ImportRequest) -> Result<()> {
        for split in [Split::Train, Split::Validation, Split::Test] {
            // A class that the corpus lacks was left out on purpose.
            let known = request.data_set.reader.known_counts().iter();
            let known: Vec<_> =
                known.filter(|k| k.split == split && classes.index(k.class).is_some()).copied().collect();
            let mut read: Vec<(String, usize)> = Vec::new();
            let sql = format!(
                "select given_class, cast(count(*) as varchar) from seen where given_class is not null \
                 and coalesce(split, 'train') = '{}' group by given_class",
                split.as_str()
            );
            for_each_pair(seen, &sql, |class, n| read.push((class.to_owned(), n.parse().unwrap_or(0)))).await?;
            if known.is_empty() || read.is_empty() {
                continue;
            }
            let read: Vec<(&str, usize)> = read.iter().map(|(class, n)| (class.as_str(), *n)).collect();
            for difference in count_differences(&known, &read) {
                self.warnings.push(format!(
                    "{}: {} has {} of the published {} ({}): a filtered, augmented or partial copy?",
                    split.as_str(),
                    difference.class,
                    difference.read,
                    difference.known,
                    difference.parts
                ));
            }
        }
        Ok(())
    }
}

async fn number(session: &Session, sql: &str) -> Result<u64> {
    let rows: Vec<Number> = session.query_trusted(sql, Vec::new()).await?.rows().await?;
    Ok(rows.first().map_or(0, |row| row.n))
}

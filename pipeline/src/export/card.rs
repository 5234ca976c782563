//! The data card: what an export holds, where its labels come from and how far they can be trusted, as `README.md` beside it.
//!
//! Counted range by range, as the parts are written: to join a million faces with all that is known about them at once would
//! take more memory than all the rest.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use marginalia_store::{Moment, Session, SqlLimits, SqlRuntime, id_ranges, write_whole};
use serde_json::{Map, Value};

use super::Export;
use crate::error::Result;

/// What is counted of the faces `exported` in a range of ids, under the name that the sections know it by.
const COUNTED: [(&str, &str); 2] = [
    (
        "faces_counted",
        "select expression, origin, split, stream, count(*) as faces, min(ingested_at) as first_admitted, \
           max(ingested_at) as last_admitted, count(*) filter (where judgements > 1) as judged_more_than_once, \
           count(*) filter (where judgements > 1 and votes = judgements) as unanimous, \
           sum(case when judgements > 1 then cast(votes as double) / judgements end) as shares_of_votes \
         from exported group by 1, 2, 3, 4",
    ),
    (
        "judgements_counted",
        "select l.annotator, l.origin, count(*) as judgements from current_labels l \
         join exported e on l.face_id = e.face_id where l.expression is not null group by 1, 2",
    ),
];

/// What the card says, each a heading, a query over what was counted and what there is to say without rows.
const SECTIONS: [(&str, &str, &str); 5] = [
    (
        "Faces by class and origin",
        "select expression, origin, split, sum(faces) as faces from faces_counted group by 1, 2, 3 order by 1, 2, 3",
        "None.",
    ),
    (
        "Where the faces come from",
        "select stream, sum(faces) as faces, \
           cast(date_trunc('second', min(first_admitted)) as varchar) as first_admitted, \
           cast(date_trunc('second', max(last_admitted)) as varchar) as last_admitted \
         from faces_counted group by 1 order by 2 desc, 1",
        "Nowhere.",
    ),
    (
        "Who judged",
        "select annotator, origin, sum(judgements) as judgements from judgements_counted group by 1, 2 order by 3 desc, 1",
        "Nobody: all labels are the model's.",
    ),
    (
        "Agreement",
        "select origin, sum(judged_more_than_once) as judged_more_than_once, sum(unanimous) as unanimous, \
           round(sum(shares_of_votes) / sum(judged_more_than_once), 3) as mean_share_of_votes \
         from faces_counted group by 1 having sum(judged_more_than_once) > 0 order by 1",
        "No face was judged more than once.",
    ),
    (
        "Pseudo-labels that people checked, blind",
        "select round, expression, audited, correct, round(precision, 3) as precision, round(low, 3) as low, \
           round(high, 3) as high, withheld \
         from pseudo_label_audit order by round, expression",
        "None were.",
    ),
];

/// Writes the card.
pub(super) async fn write(folder: &Path, sql: &SqlRuntime, session: &Session, export: &Export) -> Result<()> {
    let state = match export.at {
        Moment::Round(round) => format!("as round {round} left it"),
        Moment::Time(time) => format!("as it was at {time} UTC"),
        Moment::Now => "as it was when the export began".to_owned(),
    };
    let versions: Vec<String> = export.versions.iter().map(|(table, version)| format!("{table} {version}")).collect();
    let mut text = format!(
        "# {} labelled faces\n\nCorpus `{}`, {state}. Rows: {}.\n\nVersions of the tables: {}.\n",
        export.faces.iter().sum::<u64>(),
        export.corpus,
        export.filter.as_ref().map_or("all faces with a label".to_owned(), |filter| format!("`{filter}`")),
        versions.join(", "),
    );
    let counted = counted(sql, session, export).await?;
    for (heading, query, otherwise) in SECTIONS {
        let rows: Vec<Map<String, Value>> = counted.query_trusted(query, Vec::new()).await?.rows().await?;
        // Writing to a string does not fail.
        let _ =
            write!(text, "\n## {heading}\n\n{}\n", if rows.is_empty() { otherwise.to_owned() } else { table(&rows) });
    }
    let _ = write!(text, "\nColumns are those of the view `provenance`; `export.json` says it for programs.\n");
    Ok(write_whole(&folder.join("README.md"), text.as_bytes())?)
}

/// The same state, with what was counted as tables.
async fn counted(sql: &SqlRuntime, session: &Session, export: &Export) -> Result<Session> {
    let filter = export.filter.as_deref().unwrap_or("true");
    let mut tables = Vec::new();
    for (name, query) in COUNTED {
        let (mut schema, mut batches) = (Arc::new(Schema::empty()), Vec::new());
        for range in id_ranges(export.parts.into()) {
            let exported = format!("select * from provenance where ({filter}) and {}", range.condition());
            let mut answer =
                session.query_trusted(&format!("with exported as ({exported}) {query}"), Vec::new()).await?;
            schema = answer.schema.clone();
            while let Some(batch) = answer.next().await? {
                batches.push(batch);
            }
        }
        tables.push((name, MemTable::try_new(schema, vec![batches])?));
    }
    let extend = |context: &SessionContext| {
        for (name, table) in tables {
            context.register_table(name, Arc::new(table))?;
        }
        Ok(())
    };
    Ok(Session::open_with(sql, session.snapshot().clone(), SqlLimits::default(), extend).await?)
}

/// Rows as a Markdown table; null is left out of a row, so that the columns are those of all rows together.
fn table(rows: &[Map<String, Value>]) -> String {
    let mut columns: Vec<&String> = Vec::new();
    for column in rows.iter().flat_map(Map::keys) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    let cell = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.replace('|', "\\|"),
        Some(value) => value.to_string(),
        None => String::new(),
    };
    let head = line(columns.iter().map(|column| column.replace('_', " ")).collect());
    let rule = line(columns.iter().map(|_| "---".to_owned()).collect());
    let body = rows.iter().map(|row| line(columns.iter().map(|column| cell(row.get(*column))).collect()));
    [head, rule].into_iter().chain(body).collect::<Vec<_>>().join("\n")
}

//! The data card: what an export holds, where its labels come from and how far they can be trusted, as `README.md` beside it.

use std::fmt::Write;
use std::path::Path;

use marginalia_store::{Moment, Session, write_whole};
use serde_json::{Map, Value};

use super::Export;
use crate::error::Result;

/// What the card counts, each a heading, a query over `exported` and what there is to say without rows.
const SECTIONS: [(&str, &str, &str); 5] = [
    (
        "Faces by class and origin",
        "select expression, origin, split, count(*) as faces from exported group by 1, 2, 3 order by 1, 2, 3",
        "None.",
    ),
    (
        "Where the faces come from",
        "select stream, count(*) as faces, min(ingested_at) as first_admitted, max(ingested_at) as last_admitted \
         from exported group by 1 order by 2 desc, 1",
        "Nowhere.",
    ),
    (
        "Who judged",
        "select l.annotator, l.origin, count(*) as judgements from current_labels l \
         join exported e on l.face_id = e.face_id where l.expression is not null group by 1, 2 order by 3 desc, 1",
        "Nobody: all labels are the model's.",
    ),
    (
        "Agreement",
        "select origin, count(*) as judged_more_than_once, \
           sum(case when votes = judgements then 1 else 0 end) as unanimous, \
           round(avg(cast(votes as double) / judgements), 3) as mean_share_of_votes \
         from exported where judgements > 1 group by 1 order by 1",
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
pub(super) async fn write(folder: &Path, session: &Session, export: &Export) -> Result<()> {
    let filter = export.filter.as_deref().unwrap_or("true");
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
    for (heading, query, otherwise) in SECTIONS {
        let sql = format!("with exported as (select * from provenance where ({filter})) {query}");
        let rows: Vec<Map<String, Value>> = session.query_trusted(&sql, Vec::new()).await?.rows().await?;
        // Writing to a string does not fail.
        let _ =
            write!(text, "\n## {heading}\n\n{}\n", if rows.is_empty() { otherwise.to_owned() } else { table(&rows) });
    }
    let _ = write!(text, "\nColumns are those of the view `provenance`; `export.json` says it for programs.\n");
    Ok(write_whole(&folder.join("README.md"), text.as_bytes())?)
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

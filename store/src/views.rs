//! The views: the words people query. One `.sql` file each, with its documentation.
//!
//! In: the tables of a snapshot. Out: a session's names. Round-scoped tables hold rows of rounds that were killed before
//! their marker: each is replaced by a view of its name that keeps only rows of finished rounds, and the table behind it
//! gets no name at all, so that nobody sees half a round.
//!
//! A file starts with comment lines: what one row is, then `-- column: text` for each column. Then follows one SELECT; in
//! it `$current_round` is the last accepted round, 0 before the first, `$previous_round` the accepted one before it, and
//! `$candidate_round` the current one or, to a round that orders its own queue, itself; `$audit_target`,
//! `$audit_min_faces` and `$judgements_per_face` are settings; `$accepted_rounds` is the list of all accepted rounds. They are
//! literals by the time the view is planned, so that Lance's index can serve them.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::catalog::TableProvider;
use datafusion::datasource::{MemTable, ViewTable, provider_as_source};
use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::prelude::{Expr, cast, ident, lit};
use datafusion::scalar::ScalarValue;
use lance::datafusion::LanceTableProvider;

use crate::error::Result;
use crate::guard;
use crate::lance_log::missing_columns;
use crate::session;
use crate::session::patterns::with_open_list;
use crate::session::queue::Queue;
use crate::session::tables::{Named, Tables};
use crate::snapshot::Snapshot;
use crate::table::TableId;

/// One view: its name and the text of its file.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// What it is queried as.
    pub name: &'static str,
    file: &'static str,
}

macro_rules! views {
    ($($name:literal),* $(,)?) => {
        /// Every view. Each stands behind those that it uses.
        pub const VIEWS: &[View] =
            &[$(View { name: $name, file: include_str!(concat!("views/", $name, ".sql")) }),*];
    };
}

views![
    "predictions",
    "queue_entries",
    "embeddings",
    "projections",
    "margins",
    "epochs",
    "face_splits",
    "near_duplicates",
    "ingest_rate",
    "current_labels",
    "label_votes",
    "unfinished",
    "label_conflicts",
    "label_throughput",
    "annotations",
    "annotator_agreement",
    "annotator_confusion",
    "first_predictions",
    "current_predictions",
    "out_of_sample_predictions",
    "candidates",
    "pseudo_label_audit",
    "pseudo_labels",
    "corpus",
    "provenance",
    "flagged",
    "changes",
    "unlabelled",
    "second_opinions",
    "queue",
    "label_quality",
    "consensus",
    "relabel_candidates",
    "class_balance",
    "hardest_classes",
    "confidence_histogram",
    "margin_vs_confidence",
    "confidence_drift",
    "flips",
    "subset_flow",
    "margin_history",
    "round_summary",
];

impl View {
    /// What one row is.
    pub fn doc(&self) -> String {
        let lines = self.comments().filter(|line| column_doc(line).is_none());
        lines.collect::<Vec<_>>().join(" ")
    }

    /// Columns with their documentation, in the order of the file.
    pub fn columns(&self) -> Vec<(&'static str, &'static str)> {
        self.comments().filter_map(column_doc).collect()
    }

    /// The SELECT, without the comments above it.
    pub fn sql(&self) -> &'static str {
        let comments: usize =
            self.file.split_inclusive('\n').take_while(|line| line.starts_with("--")).map(str::len).sum();
        self.file[comments..].trim()
    }

    fn comments(&self) -> impl Iterator<Item = &'static str> {
        self.file.lines().map_while(|line| line.strip_prefix("--")).map(str::trim)
    }
}

fn column_doc(line: &'static str) -> Option<(&'static str, &'static str)> {
    let (name, doc) = line.split_once(": ")?;
    let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    is_name.then_some((name, doc))
}

/// Rows of one read of a wide table: few, because images are up to 100 kB each.
const WIDE_BATCH_BYTES: u64 = 16 << 20;

/// What views are planned over: the names of tables, and the values of the views' parameters. Sessions over equal grounds
/// share their plans.
#[derive(Debug, PartialEq)]
pub(crate) struct Ground {
    /// By the names that views know them by.
    pub tables: BTreeMap<String, Arc<Named>>,
    /// Names that only views may use.
    pub hidden: HashSet<String>,
    /// Values of `$current_round` and the like.
    pub parameters: Vec<(&'static str, ScalarValue)>,
    /// What stands for `$accepted_rounds`: no parameter takes a list.
    accepted_rounds: String,
}

impl Ground {
    /// The ground of a snapshot with these tables.
    pub fn of(snapshot: &Snapshot, tables: &Tables) -> Self {
        let round = |round: Option<u32>| ScalarValue::Int64(Some(round.map_or(0, i64::from)));
        let parameters = vec![
            ("current_round", round(snapshot.current_round())),
            ("previous_round", round(snapshot.previous_round())),
            ("candidate_round", round(snapshot.candidate_round())),
            ("audit_target", ScalarValue::Float64(Some(snapshot.audit().target))),
            ("audit_min_faces", ScalarValue::Int64(Some(i64::from(snapshot.audit().min_faces)))),
            ("judgements_per_face", ScalarValue::Int64(Some(i64::from(snapshot.judgements_per_face())))),
        ];
        let accepted = snapshot.rounds().iter().filter(|round| round.accepted).map(|round| round.round.to_string());
        // Rounds count from 1, and a list holds something.
        let accepted_rounds =
            accepted.reduce(|list, round| format!("{list}, {round}")).unwrap_or_else(|| "0".to_owned());
        let hidden =
            TableId::ALL.iter().filter(|table| table.is_round_scoped()).map(|table| base_name(*table)).collect();
        let tables = tables.names().map(|named| (named.name.clone(), Arc::new(named))).collect();
        Self { tables, hidden, parameters, accepted_rounds }
    }
}

/// What the names stand for in a snapshot.
pub(crate) fn tables(snapshot: &Snapshot) -> Result<Tables> {
    let mut tables = Tables::default();
    for table in TableId::ALL.iter().filter(|table| !table.is_hidden()) {
        tables.insert(base_name(*table), provider(snapshot, *table)?);
    }
    tables.insert("classes", classes(snapshot.classes())?);
    Ok(tables)
}

/// A view over the names that `state` knows.
pub(crate) async fn plan(
    view: &View,
    state: &SessionState,
    ground: &Ground,
) -> datafusion::error::Result<Arc<dyn TableProvider>> {
    let sql = view.sql().replace("$accepted_rounds", &ground.accepted_rounds);
    let plan = state.create_logical_plan(&sql).await?.with_param_values(ground.parameters.clone())?;
    Ok(match view.name {
        "queue" => Arc::new(queue(state, plan, &ground.parameters).await?),
        _ => Arc::new(ViewTable::new(plan, Some(view.sql().to_owned()))),
    })
}

/// The one view whose first rows must not cost as much as all.
async fn queue(
    state: &SessionState,
    rest: LogicalPlan,
    parameters: &[(&'static str, ScalarValue)],
) -> datafusion::error::Result<Queue> {
    let plan = |sql: &'static str| async move {
        let plan = state.create_logical_plan(sql).await?;
        match plan.get_parameter_names()?.is_empty() {
            true => Ok::<_, DataFusionError>(plan),
            false => plan.with_param_values(parameters.to_vec()),
        }
    };
    // Optimised here, since this happens once a round.
    let optimised = |plan| state.optimize(&plan);
    let looked_up = |plan| optimised(with_open_list(plan)?);
    Ok(Queue {
        unfinished: optimised(plan(session::queue::UNFINISHED).await?)?,
        entries: optimised(plan(session::queue::ENTRIES).await?)?,
        unlabelled: looked_up(plan(session::queue::UNLABELLED).await?)?,
        second_opinions: looked_up(plan(session::queue::SECOND_OPINIONS).await?)?,
        rest: optimised(rest)?,
    })
}

/// What views call a table: the name itself, or `…_all` where a view of that name stands in front of it.
fn base_name(table: TableId) -> String {
    match table.is_round_scoped() {
        true => format!("{table}_all"),
        false => table.name().to_owned(),
    }
}

/// The table as the engine reads it. A table that did not exist at this snapshot is empty; a column that it did not have is
/// null.
fn provider(snapshot: &Snapshot, table: TableId) -> Result<Arc<dyn TableProvider>> {
    let Some(dataset) = snapshot.dataset(table) else {
        return Ok(Arc::new(MemTable::try_new(table.schema(), vec![vec![]])?));
    };
    // Unordered: the order of rows means nothing, and keeping it costs read-ahead.
    let provider = LanceTableProvider::new_with_ordering(dataset.clone(), false, false, false);
    let provider = match table {
        TableId::Faces | TableId::Embeddings => provider.with_batch_size_bytes(WIDE_BATCH_BYTES),
        _ => provider,
    };
    let missing = missing_columns(dataset, table);
    if missing.is_empty() {
        return Ok(Arc::new(provider));
    }
    let mut columns: Vec<Expr> = dataset.schema().fields.iter().map(|field| ident(&field.name)).collect();
    for field in missing {
        columns.push(cast(lit(ScalarValue::Null), field.data_type().clone()).alias(field.name()));
    }
    view(table.name(), Arc::new(provider), columns).map_err(guard::failed)
}

/// The corpus's classes as a table, so that views can name those nobody has chosen yet.
fn classes(names: &[String]) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("position", DataType::UInt32, false),
        Field::new("expression", DataType::Utf8, false),
    ]));
    let positions = UInt32Array::from_iter_values((0_u32..).take(names.len()));
    let columns = vec![Arc::new(positions) as _, Arc::new(StringArray::from_iter_values(names)) as _];
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    let table = Arc::new(MemTable::try_new(schema, vec![vec![batch]])?);
    // As a view, because a table in memory leaves filters to others.
    view("classes", table, vec![ident("position"), ident("expression")]).map_err(guard::failed)
}

/// These columns of a table.
pub(crate) fn view(
    name: &str,
    table: Arc<dyn TableProvider>,
    columns: Vec<Expr>,
) -> datafusion::error::Result<Arc<dyn TableProvider>> {
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(table), None)?.project(columns)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

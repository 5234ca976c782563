//! The view `queue`, computed from its front: whoever asks for the first hundred faces of a million pays for a hundred.
//!
//! In: the entries that the round wrote, the views `unlabelled` and `second_opinions`, and the text of `views/queue.sql` for
//! all that stands behind the entries. Out: rows in the order of `rank`, which the engine is told, so that `order by rank
//! limit 100` sorts nothing and stops reading where it has enough. Entries are looked up a few at a time, by the index on
//! `face_id`; the rest, which has to see all faces before its first row, is begun only when the entries are used up. What does
//! not wait for anything else is asked side by side.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray, UInt64Array};
use arrow::compute::kernels::numeric::add;
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{DataType, Field, SchemaRef, UInt64Type};
use async_trait::async_trait;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::runtime::SpawnedTask;
use datafusion::common::{ScalarValue, exec_datafusion_err, exec_err};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream, collect, execute_stream};
use datafusion::prelude::{Expr, col, lit};
use futures::{StreamExt, TryStreamExt};

use super::patterns::fill_list;

/// Entries that are looked up together.
const FEW: usize = 256;

/// The entries of the current round, each face once: what the round wrote, in its order.
pub(crate) const ENTRIES: &str = "\
select face_id, lane, reason
from (
  select face_id, rank, lane, reason, row_number() over (partition by face_id order by rank, lane) as place
  from queue_entries
  where round = $current_round
)
where place = 1
order by rank, face_id";

/// Faces that want more judgements, those that wait the longest first: what was begun is finished before anything else.
pub(crate) const UNFINISHED: &str = "\
select u.face_id, 'queue' as lane, concat('judged by ', cast(u.judgements as varchar), ' of ', cast($judgements_per_face as varchar)) as reason, \
p.expression, p.confidence, p.margin, p.round \
from unfinished u left join current_predictions p on u.face_id = p.face_id order by u.since, u.face_id";

/// What the entries are looked up in.
pub(crate) const UNLABELLED: &str = "select face_id, expression, confidence, margin, round from unlabelled";

/// What those of lane `review` are looked up in besides.
pub(crate) const SECOND_OPINIONS: &str = "\
select face_id, cast(null as varchar) as expression, cast(null as float) as confidence, cast(null as float) as margin, \
cast($current_round as int unsigned) as round from second_opinions";

/// The table behind the name `queue`: optimised plans. The two that entries are looked up in have an open list.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    pub unfinished: LogicalPlan,
    pub entries: LogicalPlan,
    pub unlabelled: LogicalPlan,
    pub second_opinions: LogicalPlan,
    /// All behind the entries, `rank` from 1.
    pub rest: LogicalPlan,
}

#[async_trait]
impl TableProvider for Queue {
    fn schema(&self) -> SchemaRef {
        self.rest.schema().inner().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
            return exec_err!("the view queue needs a session of its own");
        };
        let rows = Rows { queue: self.clone(), state: state.clone(), schema: self.schema() };
        let table = StreamingTable::try_new(self.schema(), vec![Arc::new(rows)])?;
        table.with_sort_order(vec![col("rank").sort(true, false)]).scan(state, projection, filters, limit).await
    }
}

/// The rows, computed as they are asked for.
#[derive(Clone, Debug)]
struct Rows {
    queue: Queue,
    state: SessionState,
    schema: SchemaRef,
}

impl Rows {
    async fn planned(&self, optimised: &LogicalPlan) -> Result<Arc<dyn ExecutionPlan>> {
        self.state.query_planner().create_physical_plan(optimised, &self.state).await
    }

    async fn collected(self, plan: LogicalPlan, context: Arc<TaskContext>) -> Result<RecordBatch> {
        let plan = self.planned(&plan).await?;
        let schema = plan.schema();
        let batches = collect(plan, context).await?;
        Ok(concat_batches(&schema, &batches)?)
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let schema = self.schema.clone();
        let begin = Front { rows: self.clone(), context, unfinished: None, entries: None, at: 0, shown: 0 };
        let stream = futures::stream::try_unfold(Some(begin), |front| async move {
            let Some(mut front) = front else { return Ok::<_, datafusion::error::DataFusionError>(None) };
            match front.next().await? {
                Some(batch) => Ok(Some((futures::stream::iter([Ok(batch)]).boxed(), Some(front)))),
                None => Ok(Some((front.rest().await?, None))),
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(schema, stream.try_flatten()))
    }
}

/// How far the entries have been read.
struct Front {
    rows: Rows,
    context: Arc<TaskContext>,
    /// Faces that came before the entries, once they were shown.
    unfinished: Option<HashSet<String>>,
    /// Face, lane and reason of each.
    entries: Option<RecordBatch>,
    at: usize,
    /// Rows shown so far.
    shown: u64,
}

impl Front {
    /// The next rows: faces that want more judgements, then the entries that still wait; none when all are used up.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.unfinished.is_none() {
            let queue = &self.rows.queue;
            let (begun, entries) = (self.begin(queue.unfinished.clone()), self.begin(queue.entries.clone()));
            let begun = joined(begun).await?;
            self.entries = Some(joined(entries).await?);
            self.unfinished = Some(text(&begun, "face_id")?.iter().flatten().map(str::to_owned).collect());
            if begun.num_rows() > 0 {
                let rows = self.ranked(&begun)?;
                self.shown += rows.num_rows() as u64;
                return Ok(Some(rows));
            }
        }
        let Some(entries) = &self.entries else { return Ok(None) };
        while self.at < entries.num_rows() {
            let few = entries.slice(self.at, FEW.min(entries.num_rows() - self.at));
            self.at += few.num_rows();
            let batch = self.waiting(&few).await?;
            if batch.num_rows() > 0 {
                self.shown += batch.num_rows() as u64;
                return Ok(Some(batch));
            }
        }
        Ok(None)
    }

    /// Those of some entries that still wait, with what the model says of them: faces that nobody decided about, and decided
    /// ones whose label is in doubt.
    async fn waiting(&self, entries: &RecordBatch) -> Result<RecordBatch> {
        let (ids, lanes) = (text(entries, "face_id")?, text(entries, "lane")?);
        let in_doubt = ids.iter().zip(lanes).filter(|(_, lane)| *lane == Some("review")).filter_map(|(id, _)| id);
        let others = self.look_up(&self.rows.queue.second_opinions, in_doubt)?;
        let mut found = joined(self.look_up(&self.rows.queue.unlabelled, ids.iter().flatten())?).await?;
        let others = joined(others).await?;
        if others.num_rows() > 0 {
            found = concat_batches(&found.schema(), &[found, others])?;
        }
        let found_ids = text(&found, "face_id")?;
        let places: HashMap<&str, u64> =
            found_ids.iter().zip(0..).filter_map(|(id, place)| Some((id?, place))).collect();
        let is_new = |id: &&str| !self.unfinished.as_ref().is_some_and(|begun| begun.contains(*id));
        let still: Vec<(u64, u64)> =
            (0..).zip(ids).filter_map(|(entry, id)| Some((entry, *places.get(id.filter(is_new)?)?))).collect();
        let from_entries = UInt64Array::from_iter_values(still.iter().map(|(entry, _)| *entry));
        let from_found = UInt64Array::from_iter_values(still.iter().map(|(_, place)| *place));
        let ranks = UInt64Array::from_iter_values((self.shown + 1..).take(still.len()));
        let columns: Result<Vec<ArrayRef>> = self
            .rows
            .schema
            .fields()
            .iter()
            .map(|field| {
                let array = match (field.name().as_str(), entries.column_by_name(field.name())) {
                    ("rank", _) => Arc::new(ranks.clone()) as ArrayRef,
                    (_, Some(column)) => take(column, &from_entries, None)?,
                    (name, None) => match found.column_by_name(name) {
                        Some(column) => take(column, &from_found, None)?,
                        None => return exec_err!("the view unlabelled has no column {name}"),
                    },
                };
                Ok(cast(&array, field.data_type())?)
            })
            .collect();
        Ok(RecordBatch::try_new(self.rows.schema.clone(), columns?)?)
    }

    /// These rows with the next ranks.
    fn ranked(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let ranks: ArrayRef = Arc::new(UInt64Array::from_iter_values((self.shown + 1..).take(rows.num_rows())));
        let column = |field: &Arc<Field>| match field.name().as_str() {
            "rank" => Ok(cast(&ranks, field.data_type())?),
            name => match rows.column_by_name(name) {
                Some(column) => Ok(cast(column, field.data_type())?),
                None => exec_err!("faces that want more judgements have no column {name}"),
            },
        };
        let columns: Result<Vec<ArrayRef>> = self.rows.schema.fields().iter().map(column).collect();
        Ok(RecordBatch::try_new(self.rows.schema.clone(), columns?)?)
    }

    /// The rows of a plan with an open list about these faces.
    fn look_up<'a>(&self, plan: &LogicalPlan, faces: impl Iterator<Item = &'a str>) -> Result<Begun> {
        let wanted: Vec<Expr> = faces.map(lit).collect();
        if wanted.is_empty() {
            let none = RecordBatch::new_empty(plan.schema().inner().clone());
            return Ok(SpawnedTask::spawn(async { Ok(none) }));
        }
        Ok(self.begin(fill_list(plan.clone(), &wanted)?))
    }

    /// Begins to compute all rows of a plan.
    fn begin(&self, plan: LogicalPlan) -> Begun {
        SpawnedTask::spawn(self.rows.clone().collected(plan, self.context.clone()))
    }

    /// What stands behind the entries.
    async fn rest(self) -> Result<futures::stream::BoxStream<'static, Result<RecordBatch>>> {
        let plan = self.rows.planned(&self.rows.queue.rest).await?;
        let (schema, shown) = (self.rows.schema.clone(), self.shown);
        let rows = execute_stream(plan, self.context.clone())?;
        Ok(rows.map(move |batch| behind(&batch?, shown, &schema)).boxed())
    }
}

/// Rows on their way; dropped, they are given up.
type Begun = SpawnedTask<Result<RecordBatch>>;

async fn joined(begun: Begun) -> Result<RecordBatch> {
    begun.join_unwind().await.map_err(|error| exec_datafusion_err!("the queue was given up ({error})"))?
}

/// The same rows, their ranks behind those that were shown.
fn behind(batch: &RecordBatch, shown: u64, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Result<Vec<ArrayRef>> = schema
        .fields()
        .iter()
        .zip(batch.columns())
        .map(|(field, column)| {
            if field.name() != "rank" {
                return Ok(column.clone());
            }
            let ranks = cast(column, &DataType::UInt64)?;
            let shown = ScalarValue::UInt64(Some(shown)).to_scalar()?;
            Ok(cast(&add(&ranks.as_primitive::<UInt64Type>(), &shown)?, field.data_type())?)
        })
        .collect();
    Ok(RecordBatch::try_new(schema.clone(), columns?)?)
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
    column.ok_or_else(|| exec_datafusion_err!("no text column {name}"))
}

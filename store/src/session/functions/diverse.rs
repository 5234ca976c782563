//! `diverse`: a batch for people to label that does not show the same face ten times.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch, StringArray, UInt32Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SessionState, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{SendableRecordBatchStream, execute_stream};
use datafusion::scalar::ScalarValue;
use futures::TryStreamExt;

use super::template::Template;
use super::{Function, Make, arguments};

/// Largest pool: its features are 40 MB.
const MOST: u64 = 20_000;
/// Faces of the pool for each one chosen, where nothing else is said.
const POOL_PER_FACE: u64 = 10;

pub(super) const FUNCTION: Function = Function {
    name: "diverse",
    call: "diverse(k [, pool])",
    doc: "k faces for people to label that differ from each other: `rank` from 1, `face_id`, `distance` to the nearest \
          face chosen before, null for the first. The pool are the `pool` undecided faces of subset II nearest below \
          their margin, the classes taking turns, with a feature of the round (10 k unless said; at most 20,000, about \
          2 kB of memory each). From it the farthest from all chosen so far is taken again and again: greedy k-centre \
          (Gonzalez 1985; for active learning Sener and Savarese 2018) on cosine distances, begun at the first of the \
          pool. Over all faces that would pick outliers, which the bound on the pool is there against. In queue.sql \
          the faces are those of the round under way.",
    example: "select rank, face_id, round(distance, 3) from diverse(2) order by rank",
    answer: "1 a NULL\n2 c 1.0",
    make: Make::Query { sql: include_str!("diverse.sql"), make: |template, _| Arc::new(Diverse { template }) },
};

#[derive(Debug)]
struct Diverse {
    template: Template,
}

impl TableFunctionImpl for Diverse {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        arguments::count(&FUNCTION, args.exprs(), 1..=2)?;
        let k = arguments::number(&FUNCTION, "k", &args.exprs()[0], MOST)?;
        let pool = match args.exprs().get(1) {
            Some(pool) => arguments::number(&FUNCTION, "pool", pool, MOST)?,
            None => (POOL_PER_FACE * k).min(MOST),
        };
        let Some(state) = args.session().as_any().downcast_ref::<SessionState>() else {
            return exec_err!("{} needs a session of its own", FUNCTION.call);
        };
        let plan = self.template.with(vec![("pool", ScalarValue::Int64(i64::try_from(pool).ok()))])?;
        let schema = Arc::new(Schema::new(vec![
            Field::new("rank", DataType::UInt32, false),
            Field::new("face_id", DataType::Utf8, false),
            Field::new("distance", DataType::Float64, true),
        ]));
        let choice = Choice { state: state.clone(), plan, k: k as usize, schema: schema.clone() };
        Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(choice)])?))
    }
}

/// One batch, chosen when its rows are asked for.
#[derive(Clone, Debug)]
struct Choice {
    state: SessionState,
    plan: LogicalPlan,
    k: usize,
    schema: SchemaRef,
}

impl PartitionStream for Choice {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let choice = self.clone();
        let rows = futures::stream::once(async move { choice.run(context).await });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

impl Choice {
    async fn run(self, context: Arc<TaskContext>) -> Result<RecordBatch> {
        let plan = self.state.create_physical_plan(&self.plan).await?;
        let mut pool = Pool::new(MemoryConsumer::new("diverse").register(context.memory_pool()));
        let mut rows = execute_stream(plan, context)?;
        while let Some(batch) = rows.try_next().await? {
            pool.add(&batch)?;
        }
        let chosen = pool.farthest_first(self.k).await;
        let ids = StringArray::from_iter_values(chosen.iter().map(|(face, _)| &pool.face_ids[*face]));
        let distances: Float64Array = chosen.iter().map(|(_, distance)| *distance).collect();
        let ranks = UInt32Array::from_iter_values((1..).take(chosen.len()));
        Ok(RecordBatch::try_new(self.schema, vec![Arc::new(ranks), Arc::new(ids), Arc::new(distances)])?)
    }
}

/// Faces to choose from, features of length 1 one after the other.
struct Pool {
    face_ids: Vec<String>,
    known: HashSet<String>,
    features: Vec<f32>,
    length: usize,
    memory: MemoryReservation,
}

impl Pool {
    fn new(memory: MemoryReservation) -> Self {
        Self { face_ids: Vec::new(), known: HashSet::new(), features: Vec::new(), length: 0, memory }
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str| {
            batch.column_by_name(name).ok_or_else(|| exec_datafusion_err!("the pool has no column {name}"))
        };
        let (ids, features) = (column("face_id")?.as_string::<i32>(), column("feature")?.as_fixed_size_list());
        self.length = usize::try_from(features.value_length()).unwrap_or(0);
        let numbers: ArrayRef = cast(features.values(), &DataType::Float32)?;
        self.memory.try_grow(numbers.len() * size_of::<f32>())?;
        let rows = numbers.as_primitive::<Float32Type>().values().chunks_exact(self.length.max(1));
        for ((row, id), feature) in (0..).zip(ids).zip(rows) {
            let norm = feature.iter().map(|value| value * value).sum::<f32>().sqrt();
            let Some(id) = id.filter(|_| features.is_valid(row) && norm.is_finite()) else { continue };
            // A face that was scored twice stands there twice.
            if self.known.insert(id.to_owned()) {
                self.face_ids.push(id.to_owned());
                // A feature of nothing but zeros stays so: it is at a right angle to all.
                let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
                self.features.extend(feature.iter().map(|value| value * scale));
            }
        }
        Ok(())
    }

    /// Positions of the chosen faces, and how far each is from those chosen before it. Gives its thread back after each,
    /// so that a query that was dropped ends.
    async fn farthest_first(&self, k: usize) -> Vec<(usize, Option<f64>)> {
        let mut chosen = Vec::with_capacity(k.min(self.face_ids.len()));
        let mut distances = vec![f32::INFINITY; self.face_ids.len()];
        let mut next = (!self.face_ids.is_empty()).then_some((0, None));
        while let Some((face, distance)) = next {
            chosen.push((face, distance));
            if chosen.len() == k {
                break;
            }
            let feature = self.feature(face);
            for (other, distance) in distances.iter_mut().enumerate() {
                *distance = distance.min(1.0 - dot(feature, self.feature(other)));
            }
            // Never again, not even where all that is left are copies.
            distances[face] = f32::NEG_INFINITY;
            next = farthest(&distances);
            tokio::task::yield_now().await;
        }
        chosen
    }

    fn feature(&self, face: usize) -> &[f32] {
        &self.features[face * self.length..(face + 1) * self.length]
    }
}

/// The first of the farthest; none where all are chosen.
fn farthest(distances: &[f32]) -> Option<(usize, Option<f64>)> {
    let mut farthest = None;
    for (face, distance) in distances.iter().enumerate().filter(|(_, distance)| **distance > f32::NEG_INFINITY) {
        if farthest.is_none_or(|(_, most)| *distance > most) {
            farthest = Some((face, *distance));
        }
    }
    farthest.map(|(face, distance)| (face, Some(f64::from(distance.max(0.0)))))
}

/// In eight sums side by side, which the compiler turns into vector instructions.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0_f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum()
}

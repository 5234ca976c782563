//! Table functions that choose faces for people to label: a pool by SQL, then one face after the other by a rule.
//!
//! In: a query for the pool (`face_id`, `feature`; `expression` and `probabilities` where the rule asks for them;
//! `labelled` where labelled faces are among them, which count as chosen) and a rule. Out: `rank`, `face_id` and
//! `distance`. The work is done when the rows are asked for, and ends with who asked.

use std::collections::{HashMap, HashSet};
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
use futures::future::BoxFuture;

use super::template::Template;
use super::{Function, arguments};

/// Largest pool: its features are 40 MB, and those of as many labelled faces as much again.
pub(super) const MOST: u64 = 20_000;

/// Positions of the chosen faces, and how far each is from those chosen before it.
pub(super) type Chosen = Vec<(usize, Option<f64>)>;

/// Chooses k faces of a pool. Gives its thread back after each, so that a query that was dropped ends.
pub(super) type Rule = for<'a> fn(&'a Pool, usize) -> BoxFuture<'a, Chosen>;

/// `NAME(k [, pool])`.
#[derive(Debug)]
pub(super) struct ChoiceFunction {
    pub function: &'static Function,
    pub template: Template,
    /// Faces of the pool where the call names no number.
    pub pool: fn(u64) -> u64,
    pub rule: Rule,
}

impl TableFunctionImpl for ChoiceFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let function = self.function;
        arguments::count(function, args.exprs(), 1..=2)?;
        let k = arguments::number(function, "k", &args.exprs()[0], MOST)?;
        let pool = match args.exprs().get(1) {
            Some(pool) => arguments::number(function, "pool", pool, MOST)?,
            None => (self.pool)(k).min(MOST),
        };
        let Some(state) = args.session().as_any().downcast_ref::<SessionState>() else {
            return exec_err!("{} needs a session of its own", function.call);
        };
        let plan = self.template.with(vec![("pool", ScalarValue::Int64(i64::try_from(pool).ok()))])?;
        let schema = Arc::new(Schema::new(vec![
            Field::new("rank", DataType::UInt32, false),
            Field::new("face_id", DataType::Utf8, false),
            Field::new("distance", DataType::Float64, true),
        ]));
        let name = function.name;
        let choice =
            Choice { name, state: state.clone(), plan, k: k as usize, rule: self.rule, schema: schema.clone() };
        Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(choice)])?))
    }
}

/// One batch, chosen when its rows are asked for.
#[derive(Clone, Debug)]
struct Choice {
    name: &'static str,
    state: SessionState,
    plan: LogicalPlan,
    k: usize,
    rule: Rule,
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
        let mut pool = Pool::new(MemoryConsumer::new(self.name).register(context.memory_pool()));
        let mut rows = execute_stream(plan, context)?;
        while let Some(batch) = rows.try_next().await? {
            pool.add(&batch)?;
        }
        let chosen = (self.rule)(&pool, self.k).await;
        let ids = StringArray::from_iter_values(chosen.iter().map(|(face, _)| &pool.face_ids[*face]));
        let distances: Float64Array = chosen.iter().map(|(_, distance)| *distance).collect();
        let ranks = UInt32Array::from_iter_values((1..).take(chosen.len()));
        Ok(RecordBatch::try_new(self.schema, vec![Arc::new(ranks), Arc::new(ids), Arc::new(distances)])?)
    }
}

/// Faces to choose from, each once, in the order of the query.
pub(super) struct Pool {
    face_ids: Vec<String>,
    known: HashSet<String>,
    features: Vec<f32>,
    length: usize,
    /// Numbers of their classes, where the query names them.
    classes: Vec<usize>,
    class_numbers: HashMap<String, usize>,
    probabilities: Vec<Vec<f32>>,
    labelled: Vec<usize>,
    memory: MemoryReservation,
}

impl Pool {
    fn new(memory: MemoryReservation) -> Self {
        Self {
            face_ids: Vec::new(),
            known: HashSet::new(),
            features: Vec::new(),
            length: 0,
            classes: Vec::new(),
            class_numbers: HashMap::new(),
            probabilities: Vec::new(),
            labelled: Vec::new(),
            memory,
        }
    }

    /// How many, labelled ones among them.
    pub fn len(&self) -> usize {
        self.face_ids.len()
    }

    /// Cosine distance of two faces.
    pub fn distance(&self, a: usize, b: usize) -> f32 {
        (1.0 - dot(self.feature(a), self.feature(b))).max(0.0)
    }

    /// Scores before any is known: infinite, and negatively infinite for labelled faces, which are never chosen.
    pub fn unscored(&self) -> Vec<f32> {
        let mut scores = vec![f32::INFINITY; self.len()];
        self.labelled.iter().for_each(|face| scores[*face] = f32::NEG_INFINITY);
        scores
    }

    /// A face's feature, of length 1; one of nothing but zeros stays so: it is at a right angle to all.
    pub fn feature(&self, face: usize) -> &[f32] {
        &self.features[face * self.length..(face + 1) * self.length]
    }

    /// Number of a face's class, from 0 in the order in which they come.
    pub fn class(&self, face: usize) -> usize {
        self.classes[face]
    }

    /// A face's probabilities.
    pub fn probabilities(&self, face: usize) -> &[f32] {
        &self.probabilities[face]
    }

    fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let column = |name: &str| batch.column_by_name(name);
        let missing = |name: &str| exec_datafusion_err!("the pool has no column {name}");
        let ids = column("face_id").ok_or_else(|| missing("face_id"))?.as_string::<i32>();
        let lists = column("feature").ok_or_else(|| missing("feature"))?.as_fixed_size_list();
        let length = usize::try_from(lists.value_length()).unwrap_or(0);
        self.length = length;
        let features: ArrayRef = cast(lists.values(), &DataType::Float32)?;
        self.memory.try_grow(features.len() * size_of::<f32>())?;
        let probabilities = column("probabilities").map(|lists| lists.as_list::<i32>());
        let classes = column("expression").map(|names| names.as_string::<i32>());
        let labelled = column("labelled").map(|flags| flags.as_boolean());
        for (row, id) in ids.iter().enumerate() {
            let feature = &features.as_primitive::<Float32Type>().values()[row * length..(row + 1) * length];
            let norm = dot(feature, feature).sqrt();
            let Some(id) = id.filter(|_| lists.is_valid(row) && norm.is_finite()) else { continue };
            // A face that was scored twice stands there twice.
            if !self.known.insert(id.to_owned()) {
                continue;
            }
            if labelled.is_some_and(|flags| flags.value(row)) {
                self.labelled.push(self.face_ids.len());
            }
            self.face_ids.push(id.to_owned());
            let scale = if norm > 0.0 { 1.0 / norm } else { 0.0 };
            self.features.extend(feature.iter().map(|value| value * scale));
            if let Some(names) = classes {
                let next = self.class_numbers.len();
                self.classes.push(*self.class_numbers.entry(names.value(row).to_owned()).or_insert(next));
            }
            if let Some(lists) = probabilities {
                self.probabilities.push(lists.value(row).as_primitive::<Float32Type>().values().to_vec());
            }
        }
        Ok(())
    }
}

/// How far each face of a pool is from the nearest one that is labelled or chosen: infinitely far where there is none
/// yet, and negatively infinite for those that are labelled or chosen themselves.
pub(super) struct Nearest<D> {
    distance: D,
    distances: Vec<f32>,
}

impl<D: Fn(usize, usize) -> f32> Nearest<D> {
    /// Before any is chosen.
    pub async fn new(pool: &Pool, distance: D) -> Self {
        let mut nearest = Self { distance, distances: pool.unscored() };
        for face in &pool.labelled {
            nearest.approach(*face);
            tokio::task::yield_now().await;
        }
        nearest
    }

    /// By face.
    pub fn distances(&self) -> &[f32] {
        &self.distances
    }

    /// Chooses a face, and says how far it was.
    pub async fn choose(&mut self, face: usize) -> (usize, Option<f64>) {
        let distance = self.distances[face];
        // Never again, not even where all that is left are copies.
        self.distances[face] = f32::NEG_INFINITY;
        self.approach(face);
        tokio::task::yield_now().await;
        (face, distance.is_finite().then(|| f64::from(distance)))
    }

    fn approach(&mut self, face: usize) {
        let left = self.distances.iter_mut().enumerate().filter(|(_, nearest)| **nearest > f32::NEG_INFINITY);
        for (other, nearest) in left {
            *nearest = nearest.min((self.distance)(face, other));
        }
    }
}

/// Chooses `first`, if given, and then again and again what `next` picks by the distances to the nearest one.
pub(super) async fn one_by_one(
    pool: &Pool,
    k: usize,
    first: Option<usize>,
    distance: impl Fn(usize, usize) -> f32,
    mut next: impl FnMut(&[f32]) -> Option<usize>,
) -> Chosen {
    let mut nearest = Nearest::new(pool, distance).await;
    let mut chosen = Vec::with_capacity(k.min(pool.len()));
    let mut face = first.or_else(|| next(nearest.distances()));
    while let Some(place) = face {
        chosen.push(nearest.choose(place).await);
        if chosen.len() == k {
            break;
        }
        face = next(nearest.distances());
    }
    chosen
}

/// The first of the largest; none where all are chosen.
pub(super) fn largest(scores: &[f32]) -> Option<usize> {
    let mut largest: Option<(usize, f32)> = None;
    for (face, score) in scores.iter().enumerate().filter(|(_, score)| **score > f32::NEG_INFINITY) {
        if largest.is_none_or(|(_, most)| *score > most) {
            largest = Some((face, *score));
        }
    }
    largest.map(|(face, _)| face)
}

/// In eight sums side by side, which the compiler turns into vector instructions.
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0_f32; 8];
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum::<f32>()
}

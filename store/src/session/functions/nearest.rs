//! `nearest`: faces that look alike to the model.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Array, RecordBatch, StringArray, UInt32Array};
use arrow::datatypes::{DataType, Field, Float32Type, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::prelude::{Expr, ident, lit};
use lance::Dataset;
use lance_index::vector::DIST_COL;

use super::{Function, Make, arguments};
use crate::table::TableId;

/// Most faces that are looked for.
const MOST: u64 = 10_000;
/// Features of one read: 2 MB.
const BATCH_ROWS: usize = 2048;
/// Features on their way, bytes.
const BUFFER_BYTES: u64 = 64 << 20;

pub(super) const FUNCTION: Function = Function {
    name: "nearest",
    call: "nearest(face_id, k)",
    doc: "The k faces, at most 10,000, whose features under the last accepted round's teacher are nearest to this \
          face's, by cosine distance: `rank` from 1, `face_id`, `distance`. The face itself is not among them. Exact, \
          reading all features once, unless the corpus has a vector index. An error where no feature of the face is \
          kept, as for faces that were not scored by that round.",
    example: "select rank, face_id, round(distance, 3) from nearest('a', 2) order by rank",
    answer: "1 b 0.2\n2 c 1.0",
    make: Make::Table(|snapshot| {
        let embeddings = snapshot.dataset(TableId::Embeddings).cloned();
        Arc::new(Nearest { embeddings, round: snapshot.current_round() })
    }),
};

#[derive(Debug)]
struct Nearest {
    embeddings: Option<Arc<Dataset>>,
    round: Option<u32>,
}

impl TableFunctionImpl for Nearest {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        arguments::count(&FUNCTION, args.exprs(), 2..=2)?;
        let face_id = arguments::text(&FUNCTION, "face_id", &args.exprs()[0])?;
        let k = arguments::number(&FUNCTION, "k", &args.exprs()[1], MOST)? as usize;
        let (Some(embeddings), Some(round)) = (self.embeddings.clone(), self.round) else {
            return exec_err!("no round has been accepted yet, so there are no features; `marginalia train` runs one");
        };
        let schema = Arc::new(Schema::new(vec![
            Field::new("rank", DataType::UInt32, false),
            Field::new("face_id", DataType::Utf8, false),
            Field::new("distance", DataType::Float32, false),
        ]));
        let search = Search { embeddings, round, face_id, k, schema: schema.clone() };
        Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(search)])?))
    }
}

/// One search, done when its rows are asked for.
#[derive(Clone, Debug)]
struct Search {
    embeddings: Arc<Dataset>,
    round: u32,
    face_id: String,
    k: usize,
    schema: SchemaRef,
}

impl PartitionStream for Search {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let search = self.clone();
        let rows = futures::stream::once(async move { search.run().await });
        Box::pin(RecordBatchStreamAdapter::new(self.schema.clone(), rows))
    }
}

impl Search {
    async fn run(self) -> Result<RecordBatch> {
        let feature = self.feature().await?;
        let mut scan = self.embeddings.scan();
        // Twice as many, because a face that was scored twice has two rows.
        scan.nearest("feature", &feature, 2 * self.k).map_err(failed)?;
        scan.distance_metric("cosine".try_into()?).refine(4).prefilter(true);
        scan.filter_expr(self.of_round().and(ident("face_id").not_eq(lit(self.face_id.clone()))));
        scan.project(&["face_id"]).map_err(failed)?;
        scan.batch_size(BATCH_ROWS).io_buffer_size(BUFFER_BYTES);
        let found = scan.try_into_batch().await.map_err(failed)?;
        let column = |name: &str| {
            found.column_by_name(name).ok_or_else(|| exec_datafusion_err!("the search gave no column {name}"))
        };
        let (ids, distances) = (column("face_id")?.as_string::<i32>(), column(DIST_COL)?.as_primitive::<Float32Type>());
        let mut near: Vec<(f32, &str)> = distances.iter().zip(ids).filter_map(|(far, id)| far.zip(id)).collect();
        // A feature of nothing but zeros is at no distance from anything.
        near.retain(|(distance, _)| distance.is_finite());
        near.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
        near.dedup_by(|a, b| a.1 == b.1);
        near.truncate(self.k);
        let ranks = UInt32Array::from_iter_values((1..).take(near.len()));
        let ids = StringArray::from_iter_values(near.iter().map(|(_, id)| id));
        let distances = Float32Array::from_iter_values(near.iter().map(|(distance, _)| *distance));
        Ok(RecordBatch::try_new(self.schema, vec![Arc::new(ranks), Arc::new(ids), Arc::new(distances)])?)
    }

    /// The feature of the face that was asked for.
    async fn feature(&self) -> Result<ArrayRef> {
        let mut scan = self.embeddings.scan();
        scan.filter_expr(self.of_round().and(ident("face_id").eq(lit(self.face_id.clone()))));
        scan.project(&["feature"]).and_then(|scan| scan.limit(Some(1), None)).map_err(failed)?;
        let found = scan.try_into_batch().await.map_err(failed)?;
        match found.columns().first() {
            Some(features) if !features.is_empty() => Ok(features.as_fixed_size_list().value(0)),
            _ => exec_err!(
                "no feature of face {} is kept in round {}; `explain` says whether there is such a face, and which round \
                 scored it",
                self.face_id,
                self.round
            ),
        }
    }

    fn of_round(&self) -> Expr {
        ident("round").eq(lit(self.round))
    }
}

fn failed(error: lance::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

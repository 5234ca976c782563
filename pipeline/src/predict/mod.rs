//! `predict` and `score`: what a checkpoint's teacher says of images, as SQL functions.
//!
//! In: images, and a checkpoint by its place and hash, both literals, so that a plan holds all there is to say and the
//! functions hold no state that matters. Out: a struct per image; null for an image that is null or does not decode. It
//! is the scoring of a round: the weak views of a face are drawn by its id, which is the hash of its image, so that
//! rounds, SQL and every machine of a cluster say the same of it. `score` says besides what a round keeps of a face:
//! how much the model disagrees with itself, and the feature.
//!
//! All calls of a process share a teacher's threads: tasks that run side by side wait for each other's images instead
//! of sharing cores between them.

mod models;

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float32Builder, ListBuilder, StringBuilder, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::{exec_datafusion_err, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use marginalia_store::Home;
use marginalia_trainer::{Score, Scorer};

use crate::memory::Computing;
use models::Models;

/// Images scored together: their views lie in memory at once.
const BATCH: usize = 256;

/// The functions for checkpoints of these corpora, on so many threads (0: all cores).
pub fn functions(homes: Vec<Home>, threads: usize) -> Vec<Arc<ScalarUDF>> {
    let models = Arc::new(Models::new(homes, threads));
    [Says::Prediction, Says::All].map(|says| Arc::new(ScalarUDF::new_from_impl(Predict::new(says, &models)))).to_vec()
}

/// How much a function says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Says {
    Prediction,
    All,
}

impl Says {
    fn call(self) -> &'static str {
        match self {
            Self::Prediction => "predict(image, checkpoint, checkpoint_hash)",
            Self::All => "score(image, checkpoint, checkpoint_hash)",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Prediction => "predict",
            Self::All => "score",
        }
    }

    fn doc(self) -> &'static str {
        match self {
            Self::Prediction => {
                "What the teacher of a checkpoint says of an image: a struct of expression, confidence, entropy, top2_gap \
                 and probabilities in the order of the checkpoint's classes, the numbers that a round stores. Null where \
                 the image does not decode."
            }
            Self::All => "As predict, with mutual_information and feature.",
        }
    }

    fn fields(self) -> Fields {
        let number = |name| Field::new(name, DataType::Float32, true);
        let numbers = |name| Field::new_list(name, Field::new_list_field(DataType::Float32, true), true);
        let mut fields = vec![
            Field::new("expression", DataType::Utf8, true),
            number("confidence"),
            number("entropy"),
            number("top2_gap"),
            numbers("probabilities"),
        ];
        if self == Self::All {
            fields.extend([number("mutual_information"), numbers("feature")]);
        }
        fields.into()
    }
}

struct Predict {
    says: Says,
    models: Arc<Models>,
    signature: Signature,
    documentation: Documentation,
}

impl Predict {
    fn new(says: Says, models: &Arc<Models>) -> Self {
        let section = DocSection { include: true, label: "Marginalia", description: None };
        let documentation = Documentation::builder(section, says.doc(), says.call()).build();
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { says, models: models.clone(), signature, documentation }
    }
}

impl fmt::Debug for Predict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Predict").field(&self.says).finish()
    }
}

// What it says follows from its arguments.
impl PartialEq for Predict {
    fn eq(&self, other: &Self) -> bool {
        self.says == other.says
    }
}

impl Eq for Predict {}

impl Hash for Predict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.says.hash(state);
    }
}

impl ScalarUDFImpl for Predict {
    fn name(&self) -> &str {
        self.says.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(self.says.fields()))
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        use DataType as T;
        match arg_types {
            [T::Binary | T::LargeBinary | T::BinaryView | T::Null, place, hash]
                if [place, hash].iter().all(|text| matches!(text, T::Utf8 | T::LargeUtf8 | T::Utf8View)) =>
            {
                Ok(vec![T::LargeBinary, T::Utf8, T::Utf8])
            }
            _ => plan_err!("{} takes an image and two texts", self.says.call()),
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [images, place, hash] = args.args.as_slice() else {
            return exec_err!("{} takes three arguments", self.says.call());
        };
        let scorer = self.models.get(self.text(place)?, self.text(hash)?)?;
        let images = images.to_array(args.number_rows)?;
        let images = images.as_binary::<i64>();
        let mut rows = Rows::new(self.says, images.len());
        let mut all = images.iter();
        loop {
            let batch: Vec<Option<&[u8]>> = all.by_ref().take(BATCH).collect();
            if batch.is_empty() {
                return Ok(ColumnarValue::Array(Arc::new(rows.finish()?)));
            }
            rows.extend(&scorer, &batch)?;
        }
    }
}

impl Predict {
    fn text<'a>(&self, argument: &'a ColumnarValue) -> Result<&'a str> {
        match argument {
            ColumnarValue::Scalar(ScalarValue::Utf8(Some(text))) => Ok(text),
            _ => exec_err!("{}: the checkpoint and its hash are texts in quotes, written out", self.says.call()),
        }
    }
}

/// The structs, column by column.
struct Rows {
    says: Says,
    expression: StringBuilder,
    numbers: [Float32Builder; 4],
    probabilities: ListBuilder<Float32Builder>,
    feature: ListBuilder<Float32Builder>,
    known: Vec<bool>,
}

impl Rows {
    fn new(says: Says, rows: usize) -> Self {
        Self {
            says,
            expression: StringBuilder::new(),
            numbers: Default::default(),
            probabilities: ListBuilder::new(Float32Builder::new()),
            feature: ListBuilder::new(Float32Builder::new()),
            known: Vec::with_capacity(rows),
        }
    }

    fn extend(&mut self, scorer: &Scorer, images: &[Option<&[u8]>]) -> Result<()> {
        let there: Vec<(String, &[u8])> =
            images.iter().flatten().map(|image| (blake3::hash(image).to_hex().to_string(), *image)).collect();
        let computing = Computing::network();
        let scores = scorer.score(&there).map_err(|error| exec_datafusion_err!("scoring failed: {error}"))?;
        drop(computing);
        let mut scores = scores.into_iter();
        for image in images {
            self.push(scorer, image.and_then(|_| scores.next().flatten()));
        }
        Ok(())
    }

    fn push(&mut self, scorer: &Scorer, score: Option<Score>) {
        self.known.push(score.is_some());
        self.expression.append_option(score.as_ref().and_then(|score| scorer.classes().get(score.class)));
        let number = |of: fn(&Score) -> Option<f32>| score.as_ref().and_then(of);
        let numbers = [
            number(|score| Some(score.confidence)),
            number(|score| Some(score.entropy)),
            number(|score| Some(score.top2_gap)),
            number(|score| score.mutual_information),
        ];
        for (column, number) in self.numbers.iter_mut().zip(numbers) {
            column.append_option(number);
        }
        let list = |of: fn(&Score) -> &[f32]| score.as_ref().map(|score| of(score).iter().copied().map(Some));
        self.probabilities.append_option(list(|score| &score.probabilities));
        if self.says == Says::All {
            self.feature.append_option(list(|score| &score.feature));
        }
    }

    fn finish(mut self) -> Result<StructArray> {
        let mut columns: Vec<ArrayRef> = vec![Arc::new(self.expression.finish())];
        let [confidence, entropy, top2_gap, mutual_information] = &mut self.numbers;
        for column in [confidence, entropy, top2_gap] {
            columns.push(Arc::new(column.finish()));
        }
        columns.push(Arc::new(self.probabilities.finish()));
        if self.says == Says::All {
            columns.push(Arc::new(mutual_information.finish()));
            columns.push(Arc::new(self.feature.finish()));
        }
        Ok(StructArray::try_new(self.says.fields(), columns, Some(NullBuffer::from(self.known)))?)
    }
}

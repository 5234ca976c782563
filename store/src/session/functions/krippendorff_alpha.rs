//! `krippendorff_alpha`: how far annotators agree beyond chance, whoever judged what.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, LargeStringArray};
use arrow::datatypes::DataType;
use datafusion::common::exec_err;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::aggregate::{self, Shape};
use super::{Function, Make};

pub(super) const FUNCTION: Function = Function {
    name: "krippendorff_alpha",
    call: "krippendorff_alpha(face_id, annotator, expression)",
    doc: "Krippendorff's alpha of a group for nominal values: 1 where all agree, 0 where they agree as often as by \
          chance, negative below that. Any number of annotators, each of any part of the faces (Krippendorff, \
          Computing Krippendorff's Alpha-Reliability, 2011). A face that one annotator alone judged does not count; an \
          annotator whose values for a face contradict each other says nothing about it; rows with a null are left \
          out. Null where no face has two values, or only one value was ever chosen. Memory grows with the judgements, \
          about 150 bytes each.",
    example: "select round(krippendorff_alpha(face_id, annotator, expression), 4) from (values ('a', 'ann', 'fear'), \
          ('a', 'bob', 'fear'), ('b', 'ann', 'fear'), ('b', 'bob', 'anger'), ('c', 'ann', 'anger'), ('c', 'bob', \
          'anger')) as t(face_id, annotator, expression)",
    answer: "0.4444",
    make: Make::Aggregate(|function| {
        let arguments = vec![DataType::Utf8; 3];
        let state = vec![DataType::LargeUtf8; 3];
        aggregate::of_group(function, Shape { arguments, state, start: || Box::<Judgements>::default() })
    }),
};

/// Bytes of an entry of a hash map besides its key's text, and of a list of a few judgements: roughly.
const FACE_BYTES: usize = 96;

/// Names by number, so that each is kept once.
#[derive(Debug, Default)]
struct Names {
    numbers: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.numbers.insert(name.clone(), number);
        self.names.push(name);
        number
    }

    fn size(&self) -> usize {
        self.names.iter().map(|name| name.len() + FACE_BYTES).sum()
    }
}

/// What an annotator said about a face; none where he contradicts himself.
type Said = (u32, Option<u32>);

/// A group's judgements by face.
#[derive(Debug, Default)]
struct Judgements {
    faces: HashMap<Box<str>, Vec<Said>>,
    annotators: Names,
    values: Names,
    bytes: usize,
}

impl Judgements {
    /// `value` is none where the annotator is known to contradict himself.
    fn add(&mut self, face: &str, annotator: &str, value: Option<&str>) {
        let annotator = self.annotators.number(annotator);
        let value = value.map(|value| self.values.number(value));
        if !self.faces.contains_key(face) {
            self.bytes += face.len() + FACE_BYTES;
            self.faces.insert(face.into(), Vec::with_capacity(2));
        }
        let Some(said) = self.faces.get_mut(face) else { return };
        match said.iter_mut().find(|(who, _)| *who == annotator) {
            Some((_, before)) if *before != value => *before = None,
            Some(_) => {}
            None => {
                self.bytes += size_of::<Said>();
                said.push((annotator, value));
            }
        }
    }

    /// Alpha = 1 − (n − 1)(n − Σ o_cc) / (n² − Σ n_c²), o and n being the coincidence matrix and its margins.
    fn alpha(&self) -> Option<f64> {
        let mut totals = vec![0_u64; self.values.names.len()];
        // Agreeing pairs by how many annotators judged the face: whole numbers, so that the order plays no part.
        let mut agreeing: BTreeMap<u64, u64> = BTreeMap::new();
        let mut counts: HashMap<u32, u64> = HashMap::new();
        for said in self.faces.values() {
            counts.clear();
            said.iter().filter_map(|(_, value)| *value).for_each(|value| *counts.entry(value).or_default() += 1);
            let judged: u64 = counts.values().sum();
            if judged < 2 {
                continue;
            }
            for (value, count) in &counts {
                totals[*value as usize] += count;
                *agreeing.entry(judged).or_default() += count * (count - 1);
            }
        }
        let n = totals.iter().sum::<u64>() as f64;
        let by_chance = n * n - totals.iter().map(|total| (*total as f64).powi(2)).sum::<f64>();
        let agreed: f64 = agreeing.iter().map(|(judged, pairs)| *pairs as f64 / (judged - 1) as f64).sum();
        (by_chance > 0.0).then(|| 1.0 - (n - 1.0) * (n - agreed) / by_chance)
    }
}

impl Accumulator for Judgements {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [faces, annotators, values] = values else { return exec_err!("{} takes three arguments", FUNCTION.call) };
        let (faces, annotators) = (faces.as_string::<i32>(), annotators.as_string::<i32>());
        for ((face, annotator), value) in faces.iter().zip(annotators).zip(values.as_string::<i32>()) {
            if let (Some(face), Some(annotator), Some(value)) = (face, annotator, value) {
                self.add(face, annotator, Some(value));
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.alpha()))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.bytes + self.annotators.size() + self.values.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let rows = || self.faces.iter().flat_map(|(face, said)| said.iter().map(move |said| (face, said)));
        let name = |names: &Names, number: u32| names.names.get(number as usize).cloned();
        let faces: LargeStringArray = rows().map(|(face, _)| Some(face)).collect();
        let annotators: LargeStringArray =
            rows().map(|(_, (annotator, _))| name(&self.annotators, *annotator)).collect();
        let values: LargeStringArray =
            rows().map(|(_, (_, value))| value.and_then(|value| name(&self.values, value))).collect();
        Ok([faces, annotators, values].map(|names| aggregate::state_list(Arc::new(names))).into())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [faces, annotators, values] = states else { return exec_err!("{} keeps three lists", FUNCTION.call) };
        let [faces, annotators, values] = [faces, annotators, values].map(|lists| lists.as_list::<i32>().iter());
        for lists in faces.zip(annotators).zip(values) {
            let ((Some(faces), Some(annotators)), Some(values)) = lists else { continue };
            let (faces, annotators) = (faces.as_string::<i64>(), annotators.as_string::<i64>());
            for ((face, annotator), value) in faces.iter().zip(annotators).zip(values.as_string::<i64>()) {
                if let (Some(face), Some(annotator)) = (face, annotator) {
                    self.add(face, annotator, value);
                }
            }
        }
        Ok(())
    }
}

//! How one Rust value becomes one Arrow column and back.
//!
//! In: rows of plain structs. Out: Arrow arrays with the exact types the tables promise to outside readers (Python,
//! DuckDB, Spark). Every column type used by any table stands here once, so that no table spells Arrow by hand.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, FixedSizeListArray, Float16Array, Float32Array, Float64Array, Int64Array,
    LargeBinaryBuilder, ListArray, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{
    DataType, Field, Float16Type, Float32Type, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt32Type,
    UInt64Type,
};
use half::f16;

/// Microseconds since 1970-01-01 UTC, the one time unit of every table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The wall clock now.
    pub fn now() -> Self {
        Self::from(std::time::SystemTime::now())
    }
}

impl From<std::time::SystemTime> for Timestamp {
    fn from(time: std::time::SystemTime) -> Self {
        match time.duration_since(std::time::UNIX_EPOCH) {
            Ok(after) => Self(i64::try_from(after.as_micros()).unwrap_or(i64::MAX)),
            Err(before) => Self(-i64::try_from(before.duration().as_micros()).unwrap_or(i64::MAX)),
        }
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(time) => write!(f, "{}", time.format("%Y-%m-%d %H:%M:%S")),
            None => write!(f, "{} µs since 1970", self.0),
        }
    }
}

/// A feature vector of the backbone, stored as float16: half the space, and far more precision than its use needs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Feature(pub Vec<f16>);

/// Length of a stored feature: the ResNet feature of the paper.
pub const FEATURE_LENGTH: usize = 512;

impl Feature {
    /// From a backbone's output; shorter features (narrow backbones) are padded with zeros, which changes no cosine.
    pub fn from_f32(values: &[f32]) -> Self {
        let mut feature: Vec<f16> = values.iter().take(FEATURE_LENGTH).map(|v| f16::from_f32(*v)).collect();
        feature.resize(FEATURE_LENGTH, f16::ZERO);
        Self(feature)
    }
}

/// A Rust type that is a column of some table.
pub trait Column: Sized {
    /// Arrow type of the column.
    fn data_type() -> DataType;
    /// Whether the column may hold nulls.
    const NULLABLE: bool = false;
    /// One array from many values.
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef
    where
        Self: 'a;
    /// The value at row `i`; the array has this column's type.
    fn read(array: &dyn Array, i: usize) -> Self;
}

macro_rules! primitive {
    ($rust:ty, $array:ty, $arrow:ty, $data_type:expr, $to:expr, $from:expr) => {
        impl Column for $rust {
            fn data_type() -> DataType {
                $data_type
            }
            fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(<$array>::from_iter_values(values.map($to)))
            }
            fn read(array: &dyn Array, i: usize) -> Self {
                $from(array.as_primitive::<$arrow>().value(i))
            }
        }
        impl Column for Option<$rust> {
            fn data_type() -> DataType {
                $data_type
            }
            const NULLABLE: bool = true;
            fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
                Arc::new(<$array>::from_iter(values.map(|v| v.as_ref().map($to))))
            }
            fn read(array: &dyn Array, i: usize) -> Self {
                let array = array.as_primitive::<$arrow>();
                array.is_valid(i).then(|| $from(array.value(i)))
            }
        }
    };
}

primitive!(u32, UInt32Array, UInt32Type, DataType::UInt32, |v| *v, std::convert::identity);
primitive!(u64, UInt64Array, UInt64Type, DataType::UInt64, |v| *v, std::convert::identity);
primitive!(i64, Int64Array, Int64Type, DataType::Int64, |v| *v, std::convert::identity);
primitive!(f32, Float32Array, Float32Type, DataType::Float32, |v| *v, std::convert::identity);
primitive!(f64, Float64Array, Float64Type, DataType::Float64, |v| *v, std::convert::identity);

/// Times are UTC and say so in the type, so that no reader shifts them by its own zone.
fn utc() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

impl Column for Timestamp {
    fn data_type() -> DataType {
        utc()
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(values.map(|v| v.0)).with_timezone("UTC"))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        Self(array.as_primitive::<TimestampMicrosecondType>().value(i))
    }
}

impl Column for Option<Timestamp> {
    fn data_type() -> DataType {
        utc()
    }
    const NULLABLE: bool = true;
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter(values.map(|v| v.map(|t| t.0))).with_timezone("UTC"))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        let array = array.as_primitive::<TimestampMicrosecondType>();
        array.is_valid(i).then(|| Timestamp(array.value(i)))
    }
}

impl Column for bool {
    fn data_type() -> DataType {
        DataType::Boolean
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(BooleanArray::from(values.copied().collect::<Vec<_>>()))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        array.as_boolean().value(i)
    }
}

impl Column for String {
    fn data_type() -> DataType {
        DataType::Utf8
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        array.as_string::<i32>().value(i).to_owned()
    }
}

impl Column for Option<String> {
    fn data_type() -> DataType {
        DataType::Utf8
    }
    const NULLABLE: bool = true;
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        Arc::new(StringArray::from_iter(values.map(|v| v.as_deref())))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        let array = array.as_string::<i32>();
        array.is_valid(i).then(|| array.value(i).to_owned())
    }
}

/// Image bytes: `LargeBinary`, because 32-bit offsets end at 2 GB a batch.
impl Column for Vec<u8> {
    fn data_type() -> DataType {
        DataType::LargeBinary
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        // Of exactly the size that is needed: images are most of what a batch weighs.
        let values: Vec<&Self> = values.collect();
        let mut bytes = LargeBinaryBuilder::with_capacity(values.len(), values.iter().map(|value| value.len()).sum());
        values.iter().for_each(|value| bytes.append_value(value));
        Arc::new(bytes.finish())
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        array.as_binary::<i64>().value(i).to_vec()
    }
}

/// Class probabilities, in the corpus's class order.
impl Column for Vec<f32> {
    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::Float32, false)))
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        let rows: Vec<&Vec<f32>> = values.collect();
        let flat = Float32Array::from_iter_values(rows.iter().flat_map(|row| row.iter().copied()));
        let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| row.len()));
        let item = Arc::new(Field::new("item", DataType::Float32, false));
        Arc::new(ListArray::new(item, offsets, Arc::new(flat), None))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        array.as_list::<i32>().value(i).as_primitive::<Float32Type>().values().to_vec()
    }
}

/// Votes by class where an import brought a distribution, a bounding box, and their like.
impl Column for Option<Vec<u32>> {
    fn data_type() -> DataType {
        DataType::List(Arc::new(Field::new("item", DataType::UInt32, false)))
    }
    const NULLABLE: bool = true;
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        let rows: Vec<&Option<Vec<u32>>> = values.collect();
        let length = |row: &Option<Vec<u32>>| row.as_ref().map_or(0, Vec::len);
        let flat = UInt32Array::from_iter_values(rows.iter().flat_map(|row| row.iter().flatten().copied()));
        let offsets = OffsetBuffer::from_lengths(rows.iter().map(|row| length(row)));
        let nulls = rows.iter().map(|row| row.is_some()).collect::<Vec<bool>>().into();
        let item = Arc::new(Field::new("item", DataType::UInt32, false));
        Arc::new(ListArray::new(item, offsets, Arc::new(flat), Some(nulls)))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        let array = array.as_list::<i32>();
        array.is_valid(i).then(|| array.value(i).as_primitive::<UInt32Type>().values().to_vec())
    }
}

impl Column for Feature {
    fn data_type() -> DataType {
        let item = Arc::new(Field::new("item", DataType::Float16, true));
        DataType::FixedSizeList(item, FEATURE_LENGTH as i32)
    }
    fn build<'a>(values: impl ExactSizeIterator<Item = &'a Self>) -> ArrayRef {
        let flat = Float16Array::from_iter_values(values.flat_map(|v| v.0.iter().copied()));
        let item = Arc::new(Field::new("item", DataType::Float16, true));
        Arc::new(FixedSizeListArray::new(item, FEATURE_LENGTH as i32, Arc::new(flat), None))
    }
    fn read(array: &dyn Array, i: usize) -> Self {
        Self(array.as_fixed_size_list().value(i).as_primitive::<Float16Type>().values().to_vec())
    }
}

//! Lists of numbers, as columns bring them: any kind of list, any kind of number, whole columns and slices of them.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, GenericListArray, OffsetSizeTrait};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

/// Whether `data_type` is a list of numbers; the type of a bare null and of an empty list are.
pub(super) fn is_vector(data_type: &DataType) -> bool {
    match data_type {
        DataType::Null => true,
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            item.data_type().is_numeric() || item.data_type().is_null()
        }
        _ => false,
    }
}

/// `compute` for each row; null where the row is null or an item of it is null, NaN or infinite.
pub(super) fn map(lists: &ArrayRef, compute: impl Fn(&[f64]) -> Option<f64>) -> Result<Float64Array> {
    let (items, rows) = match lists.data_type() {
        DataType::Null => return Ok(Float64Array::new_null(lists.len())),
        DataType::List(_) => ranges(lists.as_list::<i32>())?,
        DataType::LargeList(_) => ranges(lists.as_list::<i64>())?,
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or(0);
            let rows = (0..lists.len()).map(|row| row * length..(row + 1) * length).collect();
            (numbers(lists.as_fixed_size_list().values())?, rows)
        }
        other => return exec_err!("a list of numbers is needed, not {other}"),
    };
    let answer = |(row, range): (usize, Range<usize>)| {
        let is_known = lists.is_valid(row) && range.clone().all(|item| items.is_valid(item));
        let row = items.values().get(range).filter(|_| is_known)?;
        if row.iter().all(|item| item.is_finite()) { compute(row).filter(|answer| answer.is_finite()) } else { None }
    };
    Ok(rows.into_iter().enumerate().map(answer).collect())
}

/// The items of all rows, and where each row's stand. Of a slice only its own rows' items are looked at.
fn ranges<O: OffsetSizeTrait>(lists: &GenericListArray<O>) -> Result<(Float64Array, Vec<Range<usize>>)> {
    let offsets: Vec<usize> = lists.value_offsets().iter().map(|offset| offset.as_usize()).collect();
    let (first, last) = (offsets.first().copied().unwrap_or(0), offsets.last().copied().unwrap_or(0));
    let items = numbers(&lists.values().slice(first, last - first))?;
    Ok((items, offsets.windows(2).map(|ends| ends[0] - first..ends[1] - first).collect()))
}

fn numbers(items: &ArrayRef) -> Result<Float64Array> {
    Ok(cast(items, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{FixedSizeListArray, Float16Array, Int32Array, LargeListArray, ListArray};
    use arrow::buffer::{NullBuffer, OffsetBuffer};
    use arrow::datatypes::Field;
    use half::f16;
    use proptest::prelude::*;

    use super::*;

    fn sums(lists: ArrayRef) -> Vec<Option<f64>> {
        map(&lists, |items| Some(items.iter().sum())).expect("numbers").iter().collect()
    }

    /// What a row adds up to; none for a row that is null or holds a null.
    fn expected(rows: &[Option<Vec<Option<i32>>>]) -> Vec<Option<f64>> {
        let sum = |row: &Vec<Option<i32>>| row.iter().copied().map(|item| item.map(f64::from)).sum::<Option<f64>>();
        rows.iter().map(|row| row.as_ref().and_then(sum)).collect()
    }

    fn parts(rows: &[Option<Vec<Option<i32>>>]) -> (Arc<Field>, Vec<usize>, ArrayRef, Option<NullBuffer>) {
        let items: Int32Array = rows.iter().flatten().flatten().copied().collect();
        let lengths = rows.iter().map(|row| row.as_ref().map_or(0, Vec::len)).collect();
        let nulls = rows.iter().map(Option::is_some).collect::<Vec<bool>>();
        (Arc::new(Field::new_list_field(DataType::Int32, true)), lengths, Arc::new(items), Some(nulls.into()))
    }

    proptest! {
        #[test]
        fn every_list_and_every_slice_of_it(
            rows in prop::collection::vec(
                prop::option::weighted(0.8, prop::collection::vec(prop::option::weighted(0.9, -9..9_i32), 0..5)), 0..12),
            cut in any::<(prop::sample::Index, prop::sample::Index)>(),
        ) {
            let from = cut.0.index(rows.len() + 1);
            let length = cut.1.index(rows.len() - from + 1);
            let expected = expected(&rows[from..from + length]);
            let (field, lengths, items, nulls) = parts(&rows);
            let offsets = OffsetBuffer::from_lengths(lengths.clone());
            let list = ListArray::new(field.clone(), offsets, items.clone(), nulls.clone());
            prop_assert_eq!(&sums(Arc::new(list.slice(from, length))), &expected);
            let large = LargeListArray::new(field, OffsetBuffer::from_lengths(lengths), items, nulls);
            prop_assert_eq!(&sums(Arc::new(large.slice(from, length))), &expected);
        }
    }

    #[test]
    fn fixed_lists_of_float16_with_nulls_and_slices() {
        let items = Float16Array::from_iter_values([1.0, 2.0, f32::NAN, 1.0, 5.0, 6.0, 7.0, 8.0].map(f16::from_f32));
        let field = Arc::new(Field::new_list_field(DataType::Float16, true));
        let nulls = NullBuffer::from(vec![true, true, false, true]);
        let lists = FixedSizeListArray::new(field, 2, Arc::new(items), Some(nulls));
        assert_eq!(sums(Arc::new(lists.clone())), [Some(3.0), None, None, Some(15.0)]);
        assert_eq!(sums(Arc::new(lists.slice(2, 2))), [None, Some(15.0)]);
        assert_eq!(sums(Arc::new(lists.slice(4, 0))), []);
    }

    #[test]
    fn lists_of_nothing() {
        let field = Arc::new(Field::new_list_field(DataType::Null, true));
        let nulls = arrow::array::new_null_array(&DataType::Null, 1);
        let lists = ListArray::new(field, OffsetBuffer::from_lengths([0, 1]), nulls, None);
        assert_eq!(sums(Arc::new(lists)), [Some(0.0), None]);
        assert_eq!(sums(arrow::array::new_null_array(&DataType::Null, 2)), [None, None]);
    }
}

//! Splitting one piece of work among threads that write different elements of one output.

use std::marker::PhantomData;
use std::ops::Range;

/// An output that several threads write, each its own elements.
pub struct Lanes<'a> {
    start: *mut f32,
    length: usize,
    numbers: PhantomData<&'a mut [f32]>,
}

// SAFETY: the pointer is only turned into references through the unsafe methods below, whose callers keep lanes apart.
unsafe impl Send for Lanes<'_> {}
// SAFETY: as above.
unsafe impl Sync for Lanes<'_> {}

impl<'a> Lanes<'a> {
    /// Shares `numbers` for as long as the caller keeps them borrowed.
    pub fn new(numbers: &'a mut [f32]) -> Self {
        Self { start: numbers.as_mut_ptr(), length: numbers.len(), numbers: PhantomData }
    }

    /// Pointer to element `offset`, from which `reach` elements will be spanned.
    ///
    /// # Safety
    /// Nobody else may be using the elements that are reached through it.
    #[inline(always)]
    pub unsafe fn at(&self, offset: usize, reach: usize) -> *mut f32 {
        assert!(offset + reach <= self.length, "a lane reaches beyond its output");
        // SAFETY: inside the allocation, as just checked.
        unsafe { self.start.add(offset) }
    }

    /// Elements offset..offset + length.
    ///
    /// # Safety
    /// Nobody else may be using them.
    #[allow(clippy::mut_from_ref)]
    #[inline(always)]
    pub unsafe fn slice(&self, offset: usize, length: usize) -> &mut [f32] {
        // SAFETY: `at` checks the bounds; the caller keeps others away.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset, length), length) }
    }
}

/// 0..n in at most `parts` ranges of nearly equal length, none empty.
pub fn split(n: usize, parts: usize) -> Vec<Range<usize>> {
    let parts = parts.clamp(1, n.max(1));
    (0..parts).map(|part| n * part / parts..n * (part + 1) / parts).filter(|range| !range.is_empty()).collect()
}

/// `range` in nearly equal steps of at most `step`.
pub fn blocks(range: Range<usize>, step: usize) -> impl Iterator<Item = Range<usize>> {
    let step = range.len().div_ceil(range.len().div_ceil(step).max(1)).max(1);
    range.clone().step_by(step).map(move |start| start..(start + step).min(range.end))
}

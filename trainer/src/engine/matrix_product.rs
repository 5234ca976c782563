//! Matrix products on one thread, shaped for convolutions: a right-hand side in panels that a convolution packs anyway.
//!
//! A block of `ROWS` × up to 64 results stays in registers while the inner dimension runs: one vector load per 16
//! columns and one broadcast per row feed all of it. Who calls splits the work among threads.

use std::ops::Range;

use super::simd::{Level, level};

/// Columns of the widest panel.
pub const WIDEST: usize = 64;
/// Columns are padded to a multiple of this.
pub const VECTOR: usize = 16;
/// Inner dimension worked through before the next rows: a panel of it (128 KiB at most) stays in the L2 cache.
const DEPTH: usize = 512;

/// Columns of a panel: as many as the kernel has results for at a time, so that it reads a panel from end to end.
fn panel_width() -> usize {
    match level() {
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => WIDEST,
        _ => VECTOR,
    }
}

/// Columns of panels that hold `columns`: up to one vector's padding, or a panel's where there are several.
pub fn padded(columns: usize) -> usize {
    let width = panel_width();
    if columns <= width { columns.next_multiple_of(VECTOR) } else { columns.next_multiple_of(width) }
}

/// Where element (row, inner) of the left-hand side lies: at the sum of both offsets. A convolution's patches are never
/// copied together: their places and their elements are such offsets into the image.
#[derive(Clone, Copy)]
pub struct Left<'a> {
    pub values: &'a [f32],
    pub rows: Offsets<'a>,
    pub inner: Offsets<'a>,
}

/// Where the numbers of one dimension lie.
#[derive(Clone, Copy)]
pub enum Offsets<'a> {
    /// So far apart, from 0 on.
    Even(usize),
    /// As listed.
    Listed(&'a [usize]),
}

impl Offsets<'_> {
    #[inline(always)]
    fn at(&self, index: usize) -> usize {
        match self {
            Self::Even(step) => index * step,
            Self::Listed(offsets) => offsets[index],
        }
    }

    /// The largest of the first `count`.
    fn last(&self, count: usize) -> usize {
        match self {
            Self::Even(step) => (count - 1) * step,
            Self::Listed(offsets) => offsets[..count].iter().fold(0, |largest, &offset| largest.max(offset)),
        }
    }
}

/// Where element (inner, column) of the right-hand side lies: panels of so many columns, each row of a panel
/// contiguous. Columns are readable up to the next multiple of [`VECTOR`].
#[derive(Clone, Copy)]
pub struct Right<'a> {
    pub values: &'a [f32],
    pub inner_stride: usize,
    pub panel_stride: usize,
}

impl<'a> Right<'a> {
    /// Panels packed one behind the other, of `inner` rows each: length `inner` · [`padded`]`(columns)`.
    pub fn packed(values: &'a [f32], inner: usize, columns: usize) -> Self {
        let width = padded(columns).min(panel_width());
        Self { values, inner_stride: width, panel_stride: inner * width }
    }

    /// Plain rows of `length` numbers.
    pub fn rows(values: &'a [f32], length: usize) -> Self {
        Self { values, inner_stride: length, panel_stride: panel_width() }
    }
}

/// Place of (inner, column) in packed panels.
#[inline(always)]
pub fn packed_at(row: usize, column: usize, inner: usize, columns: usize) -> usize {
    let width = padded(columns).min(panel_width());
    column / width * inner * width + row * width + column % width
}

/// out[row · `stride` + column] (+)= Σ left[row, inner] · right[inner, column] for [rows, columns, inner] and those
/// columns that lie in `panels`; adds to what is there where `accumulate`.
pub fn product(
    [rows, columns, inner]: [usize; 3],
    panels: Range<usize>,
    out: Out,
    left: Left,
    right: Right,
    accumulate: bool,
) {
    check([rows, columns, inner], out, left, right);
    let mut offsets = [0; DEPTH];
    let mut start = 0;
    while start < inner {
        let depth = DEPTH.min(inner - start);
        offsets[..depth].iter_mut().enumerate().for_each(|(at, offset)| *offset = left.inner.at(start + at));
        for panel in panels.clone() {
            let first = panel * panel_width();
            let width = panel_width().min(columns - first);
            let block = Block {
                width,
                left: left.values.as_ptr(),
                rows: left.rows,
                inner: &offsets[..depth],
                right: right.values[panel * right.panel_stride + start * right.inner_stride..].as_ptr(),
                right_stride: right.inner_stride,
                accumulate: accumulate || start > 0,
            };
            // SAFETY: `check` has seen that every element lies inside its slice.
            unsafe { all_rows(&block, rows, out.start.add(first), out.stride) };
        }
        start += depth;
    }
}

/// Panels of `columns`.
pub fn panels(columns: usize) -> usize {
    columns.div_ceil(panel_width())
}

/// Where results go.
#[derive(Clone, Copy)]
pub struct Out {
    start: *mut f32,
    length: usize,
    stride: usize,
}

impl Out {
    /// Rows of `stride` numbers.
    pub fn new(values: &mut [f32], stride: usize) -> Self {
        Self { start: values.as_mut_ptr(), length: values.len(), stride }
    }

    /// Rows from `start` on.
    ///
    /// # Safety
    /// `length` numbers from `start` on are valid, and nobody else uses the columns that a product writes.
    pub unsafe fn shared(start: *mut f32, length: usize, stride: usize) -> Self {
        Self { start, length, stride }
    }
}

fn check([rows, columns, inner]: [usize; 3], out: Out, left: Left, right: Right) {
    assert!(rows > 0 && columns > 0 && inner > 0, "empty matrix product");
    assert!((rows - 1) * out.stride + columns <= out.length, "matrix product: result too short");
    let last = left.rows.last(rows) + left.inner.last(inner);
    assert!(last < left.values.len(), "matrix product: left side too short");
    let last = (columns - 1) / panel_width();
    let width = (columns - last * panel_width()).next_multiple_of(VECTOR);
    let end = last * right.panel_stride + (inner - 1) * right.inner_stride + width;
    assert!(end <= right.values.len(), "matrix product: right side too short");
}

/// One panel of results.
struct Block<'a> {
    /// Columns that are stored; at most a panel's.
    width: usize,
    left: *const f32,
    rows: Offsets<'a>,
    /// Offsets of the part of the inner dimension that is worked through.
    inner: &'a [usize],
    right: *const f32,
    right_stride: usize,
    accumulate: bool,
}

impl Block<'_> {
    /// Where rows `first`.. of a tile begin; rows beyond `count` repeat the last one and are dropped later.
    #[inline(always)]
    fn offsets<const ROWS: usize>(&self, first: usize, count: usize) -> [usize; ROWS] {
        let mut offsets = [0; ROWS];
        for (row, offset) in offsets.iter_mut().enumerate() {
            *offset = self.rows.at(first + row.min(count - 1));
        }
        offsets
    }
}

unsafe fn all_rows(block: &Block, rows: usize, out: *mut f32, stride: usize) {
    // SAFETY: the caller vouches for the pointers, `level` for the instructions.
    unsafe {
        match (level(), block.width.div_ceil(VECTOR)) {
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 1) => avx512::rows::<8, 1>(block, rows, out, stride),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 2) => avx512::rows::<8, 2>(block, rows, out, stride),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, 3) => avx512::rows::<6, 3>(block, rows, out, stride),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx512, _) => avx512::rows::<6, 4>(block, rows, out, stride),
            #[cfg(target_arch = "x86_64")]
            (Level::Avx2, _) => avx2::rows::<6, 2>(block, rows, out, stride),
            (Level::Baseline, _) => baseline::rows(block, rows, out, stride),
        }
    }
}

/// The kernel for one set of vector instructions; the same text for all of them.
macro_rules! kernel {
    (
        $module:ident, $features:literal, $vector:ident, $lanes:literal,
        $zero:ident, $load:ident, $store:ident, $set:ident, $fma:ident, $add:ident
    ) => {
        #[cfg(target_arch = "x86_64")]
        mod $module {
            use std::arch::x86_64::*;

            use super::{Block, WIDEST};

            /// All rows of a panel, `ROWS` × `VECTORS` vectors at a time.
            #[target_feature(enable = $features)]
            pub unsafe fn rows<const ROWS: usize, const VECTORS: usize>(
                block: &Block,
                rows: usize,
                out: *mut f32,
                stride: usize,
            ) {
                for row in (0..rows).step_by(ROWS) {
                    let count = (rows - row).min(ROWS);
                    let offsets = block.offsets::<ROWS>(row, count);
                    for column in (0..block.width).step_by(VECTORS * $lanes) {
                        // SAFETY: row and column lie inside the block.
                        unsafe {
                            let out = out.add(row * stride + column);
                            let width = (block.width - column).min(VECTORS * $lanes);
                            let sums = sums::<ROWS, VECTORS>(block, &offsets, block.right.add(column));
                            store(sums, count, width, out, stride, block.accumulate);
                        }
                    }
                }
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn sums<const ROWS: usize, const VECTORS: usize>(
                block: &Block,
                offsets: &[usize; ROWS],
                right: *const f32,
            ) -> [[$vector; VECTORS]; ROWS] {
                let mut sums = [[$zero(); VECTORS]; ROWS];
                let mut right = right;
                for inner in block.inner {
                    let mut columns = [$zero(); VECTORS];
                    // SAFETY: the caller's rows and columns hold these elements.
                    unsafe {
                        let left = block.left.add(*inner);
                        for at in 0..VECTORS {
                            columns[at] = $load(right.add(at * $lanes));
                        }
                        for row in 0..ROWS {
                            let value = $set(*left.add(offsets[row]));
                            for at in 0..VECTORS {
                                sums[row][at] = $fma(value, columns[at], sums[row][at]);
                            }
                        }
                    }
                    right = right.wrapping_add(block.right_stride);
                }
                sums
            }

            #[inline]
            #[target_feature(enable = $features)]
            unsafe fn store<const ROWS: usize, const VECTORS: usize>(
                sums: [[$vector; VECTORS]; ROWS],
                count: usize,
                width: usize,
                out: *mut f32,
                stride: usize,
                accumulate: bool,
            ) {
                for row in 0..ROWS {
                    if row >= count {
                        return;
                    }
                    // SAFETY: the caller's results hold `count` rows of `width` columns.
                    unsafe {
                        let out = out.add(row * stride);
                        if width == VECTORS * $lanes {
                            for at in 0..VECTORS {
                                let (out, sum) = (out.add(at * $lanes), sums[row][at]);
                                $store(out, if accumulate { $add(sum, $load(out)) } else { sum });
                            }
                        } else {
                            let mut line = [0.0f32; WIDEST];
                            for at in 0..VECTORS {
                                $store(line.as_mut_ptr().add(at * $lanes), sums[row][at]);
                            }
                            for (column, value) in line[..width].iter().enumerate() {
                                let out = out.add(column);
                                *out = if accumulate { *out + value } else { *value };
                            }
                        }
                    }
                }
            }
        }
    };
}

kernel!(
    avx512,
    "avx512f,avx512vl,avx2,fma",
    __m512,
    16,
    _mm512_setzero_ps,
    _mm512_loadu_ps,
    _mm512_storeu_ps,
    _mm512_set1_ps,
    _mm512_fmadd_ps,
    _mm512_add_ps
);
kernel!(
    avx2,
    "avx2,fma",
    __m256,
    8,
    _mm256_setzero_ps,
    _mm256_loadu_ps,
    _mm256_storeu_ps,
    _mm256_set1_ps,
    _mm256_fmadd_ps,
    _mm256_add_ps
);

/// Without known vector instructions: what the compiler makes of plain loops.
mod baseline {
    use super::Block;

    const ROWS: usize = 4;
    const COLUMNS: usize = 8;

    /// All rows of a panel.
    pub unsafe fn rows(block: &Block, rows: usize, out: *mut f32, stride: usize) {
        for row in (0..rows).step_by(ROWS) {
            let count = (rows - row).min(ROWS);
            let offsets = block.offsets::<ROWS>(row, count);
            for column in (0..block.width).step_by(COLUMNS) {
                let width = (block.width - column).min(COLUMNS);
                // SAFETY: row and column lie inside the block; its right side is padded to whole vectors.
                unsafe {
                    let sums = sums(block, &offsets, block.right.add(column));
                    for (row, sums) in sums[..count].iter().enumerate().map(|(at, sums)| (row + at, sums)) {
                        for (at, value) in sums[..width].iter().enumerate() {
                            let out = out.add(row * stride + column + at);
                            *out = if block.accumulate { *out + value } else { *value };
                        }
                    }
                }
            }
        }
    }

    unsafe fn sums(block: &Block, offsets: &[usize; ROWS], right: *const f32) -> [[f32; COLUMNS]; ROWS] {
        let mut sums = [[0.0f32; COLUMNS]; ROWS];
        for (at, inner) in block.inner.iter().enumerate() {
            // SAFETY: the caller's rows and columns hold these elements.
            let columns = unsafe { *right.add(at * block.right_stride).cast::<[f32; COLUMNS]>() };
            for (sums, offset) in sums.iter_mut().zip(offsets) {
                // SAFETY: as above.
                let value = unsafe { *block.left.add(inner + offset) };
                sums.iter_mut().zip(columns).for_each(|(sum, column)| *sum += value * column);
            }
        }
        sums
    }
}

//! A 64-bit hash of what an image shows, for finding copies that differ in bytes.
//!
//! Hashes are comparable only if they were made the same way, so the way has a name: [`PERCEPTUAL_HASH`]. A change of
//! algorithm, size or filter, or of the hashing crate's arithmetic, needs a new name.

use std::sync::LazyLock;

use image::{DynamicImage, GrayImage};
use image_hasher::{HashAlg, Hasher, HasherConfig};

/// Name of the algorithm: the upright image, grey, averaged over areas to 16×16, then `image_hasher` 3 with a cosine
/// transform (pHash: the 8×8 lowest frequencies, each above or below their median).
///
/// On FER2013, copies recompressed at quality 70 differ in at most 4 bits; different faces hardly ever do.
pub const PERCEPTUAL_HASH: &str = "image_hasher-3/area-16x16/median-dct-8x8/1";

/// Twice the hash's side: what the hasher's transform starts from. Given an image of this size it does not resize
/// again, which is most of its time.
const SIDE: usize = 16;

static HASHER: LazyLock<Hasher<[u8; 8]>> = LazyLock::new(|| {
    HasherConfig::with_bytes_type::<[u8; 8]>().hash_size(8, 8).hash_alg(HashAlg::Median).preproc_dct().to_hasher()
});

/// Hash of an upright image. The Hamming distance between two hashes is small for re-encoded, resized and brightened
/// copies; see [`near_groups`](crate::near_groups).
pub fn perceptual_hash(image: &DynamicImage) -> u64 {
    let (width, height) = (image.width() as usize, image.height() as usize);
    if width == 0 || height == 0 {
        return 0;
    }
    let small = match image {
        DynamicImage::ImageLuma8(grey) if is_even_grid(width, height) => {
            grid_average(grey.as_raw(), width / SIDE, height / SIDE)
        }
        DynamicImage::ImageLuma8(grey) => {
            area_average(grey.as_raw(), width, height, |&[value]: &[u8; 1]| f32::from(value))
        }
        DynamicImage::ImageRgb8(rgb) => area_average(rgb.as_raw(), width, height, luma),
        other => area_average(other.to_rgb8().as_raw(), width, height, luma),
    };
    let hash = HASHER.hash_image(&small);
    let mut bytes = [0; 8];
    bytes.copy_from_slice(hash.as_bytes());
    u64::from_le_bytes(bytes)
}

/// ITU-R BT.601 luma.
fn luma(&[r, g, b]: &[u8; 3]) -> f32 {
    0.299 * f32::from(r) + 0.587 * f32::from(g) + 0.114 * f32::from(b)
}

/// Whether every cell holds the same whole number of pixels, and that one of which the mean rounds the same however it is
/// summed: an odd number has no mean halfway between two levels, and a power of two divides without error.
fn is_even_grid(width: usize, height: usize) -> bool {
    let (columns, rows) = (width / SIDE, height / SIDE);
    let is_exact = (columns * rows) % 2 == 1 || (columns.is_power_of_two() && rows.is_power_of_two());
    width.is_multiple_of(SIDE) && height.is_multiple_of(SIDE) && is_exact
}

/// As [`area_average`], for a grey picture of such a grid: the most common one, 48×48, in whole numbers.
fn grid_average(pixels: &[u8], columns: usize, rows: usize) -> GrayImage {
    let count = (columns * rows) as u32;
    let mut bytes = Vec::with_capacity(SIDE * SIDE);
    for band in pixels.chunks_exact(rows * columns * SIDE) {
        let mut sums = [0_u32; SIDE];
        for row in band.chunks_exact(columns * SIDE) {
            for (sum, cell) in sums.iter_mut().zip(row.chunks_exact(columns)) {
                *sum += cell.iter().map(|&value| u32::from(value)).sum::<u32>();
            }
        }
        bytes.extend(sums.iter().map(|sum| ((2 * sum + count) / (2 * count)) as u8));
    }
    GrayImage::from_raw(SIDE as u32, SIDE as u32, bytes).unwrap_or_else(|| unreachable!("one byte for each cell"))
}

/// Averages a picture of any size down (or up) to `SIDE` × `SIDE` cells, each pixel counting by the share of it that
/// lies in the cell.
fn area_average<const N: usize>(
    pixels: &[u8],
    width: usize,
    height: usize,
    grey: impl Fn(&[u8; N]) -> f32,
) -> GrayImage {
    let (columns, rows) = (shares(width), shares(height));
    let mut cells = [[0f32; SIDE]; SIDE];
    for (row, pixels) in pixels.as_chunks::<N>().0.chunks_exact(width).enumerate() {
        let mut sums = [0f32; SIDE];
        for &(column, cell, share) in &columns {
            sums[cell] += grey(&pixels[column]) * share;
        }
        let first = rows.partition_point(|&(at, ..)| at < row);
        for &(_, cell, share) in rows[first..].iter().take_while(|&&(at, ..)| at == row) {
            for (total, sum) in cells[cell].iter_mut().zip(sums) {
                *total += sum * share;
            }
        }
    }
    let bytes = cells.iter().flatten().map(|value| value.round().clamp(0.0, 255.0) as u8).collect();
    GrayImage::from_raw(SIDE as u32, SIDE as u32, bytes).unwrap_or_else(|| unreachable!("one byte for each cell"))
}

/// Which pixel counts into which cell, and how much: (pixel, cell, share), shares of one cell adding up to 1.
fn shares(length: usize) -> Vec<(usize, usize, f32)> {
    let mut shares = Vec::with_capacity(length + SIDE);
    for pixel in 0..length {
        // In units of 1 / SIDE of a pixel, so that all borders are whole numbers: a cell is `length` long.
        let (start, end) = (pixel * SIDE, (pixel + 1) * SIDE);
        for cell in start / length..end.div_ceil(length) {
            let inside = end.min((cell + 1) * length) - start.max(cell * length);
            shares.push((pixel, cell, inside as f32 / length as f32));
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_way_averages_as_the_general_one() {
        for (width, height) in [(48, 48), (16, 48), (64, 32), (112, 48), (240, 80), (128, 128)] {
            assert!(is_even_grid(width, height), "{width}×{height}");
            for seed in 0..20_u32 {
                let mut pixels = vec![0; width * height];
                blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut pixels);
                let general = area_average(&pixels, width, height, |&[value]: &[u8; 1]| f32::from(value));
                assert_eq!(grid_average(&pixels, width / SIDE, height / SIDE), general, "{width}×{height}");
            }
        }
        assert!(!is_even_grid(96, 96) && !is_even_grid(50, 48));
    }
}

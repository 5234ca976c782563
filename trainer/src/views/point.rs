//! Operators that map every channel value by a table (PIL `ImageOps`): pixel-exact.

use image::RgbImage;

/// Inverts every channel.
pub fn invert(image: &mut RgbImage) {
    image.iter_mut().for_each(|value| *value = 255 - *value);
}

/// Keeps the highest `bits` (0 to 8) of every channel.
pub fn posterize(image: &mut RgbImage, bits: u32) {
    let mask = if bits >= 8 { 255 } else { !((1u32 << (8 - bits)) - 1) as u8 };
    image.iter_mut().for_each(|value| *value &= mask);
}

/// Inverts channel values of `threshold` (0 to 256, not rounded) and above.
pub fn solarize(image: &mut RgbImage, threshold: f64) {
    for value in image.iter_mut() {
        if f64::from(*value) >= threshold {
            *value = 255 - *value;
        }
    }
}

/// Stretches every channel so that its darkest value becomes 0 and its lightest 255.
pub fn autocontrast(image: &mut RgbImage) {
    apply_tables(image, |histogram| {
        let low = histogram.iter().position(|&count| count > 0).unwrap_or(0);
        let high = histogram.iter().rposition(|&count| count > 0).unwrap_or(255);
        if high <= low {
            return None;
        }
        let scale = 255.0 / (high - low) as f64;
        let offset = -(low as f64) * scale;
        Some(std::array::from_fn(|value| (value as f64 * scale + offset).clamp(0.0, 255.0) as u8))
    });
}

/// Flattens every channel's histogram.
pub fn equalize(image: &mut RgbImage) {
    apply_tables(image, |histogram| {
        let total: u64 = histogram.iter().sum();
        let last = histogram.iter().rev().find(|&&count| count > 0).copied().unwrap_or(0);
        let step = (total - last) / 255;
        if step == 0 {
            return None;
        }
        let mut below = step / 2;
        Some(std::array::from_fn(|value| {
            let mapped = (below / step).min(255) as u8;
            below += histogram[value];
            mapped
        }))
    });
}

/// Maps each channel by the table that `make` derives from its histogram; `None` leaves the channel.
fn apply_tables(image: &mut RgbImage, make: impl Fn(&[u64; 256]) -> Option<[u8; 256]>) {
    let mut histograms = [[0u64; 256]; 3];
    for pixel in image.pixels() {
        for (histogram, &value) in histograms.iter_mut().zip(&pixel.0) {
            histogram[usize::from(value)] += 1;
        }
    }
    let tables = histograms.map(|histogram| make(&histogram));
    for pixel in image.pixels_mut() {
        for (value, table) in pixel.0.iter_mut().zip(&tables) {
            if let Some(table) = table {
                *value = table[usize::from(*value)];
            }
        }
    }
}

//! Groups of images that look alike, by the Hamming distance of their perceptual hashes.
//!
//! Two hashes within distance d agree, in at least one of m bands, up to ⌊d/m⌋ bits (pigeonhole), so only hashes that
//! share a band's value, or nearly, are compared (multi-index hashing, Norouzi, Punjani and Fleet, CVPR 2012).

use crate::groups::Groups;

/// For each hash, the smallest index of its group: hashes are in one group if a chain of steps of at most `distance`
/// differing bits leads from one to the other.
///
/// # Panics
/// If there are more than `u32::MAX` hashes.
pub fn near_groups(hashes: &[u64], distance: u32) -> Vec<u32> {
    let count = u32::try_from(hashes.len()).unwrap_or_else(|_| panic!("more than {} hashes", u32::MAX));
    let mut groups = Groups::apart(count);
    // Equal hashes first: many copies of one image would fill a band's bucket with pairs that say nothing new.
    let mut order: Vec<u32> = (0..count).collect();
    order.sort_unstable_by_key(|&i| (hashes[i as usize], i));
    let mut distinct: Vec<u32> = Vec::with_capacity(order.len());
    for &i in &order {
        match distinct.last() {
            Some(&first) if hashes[first as usize] == hashes[i as usize] => groups.join(first, i),
            _ => distinct.push(i),
        }
    }
    if distance > 0 {
        let values: Vec<u64> = distinct.iter().map(|&i| hashes[i as usize]).collect();
        for_each_near_pair(&values, distance, &mut |a, b| groups.join(distinct[a as usize], distinct[b as usize]));
    }
    (0..count).map(|i| groups.root(i)).collect()
}

/// Calls `pair` with every pair of positions whose values differ in at most `distance` bits, possibly more than once.
fn for_each_near_pair(values: &[u64], distance: u32, pair: &mut dyn FnMut(u32, u32)) {
    match cheapest_bands(values.len(), distance) {
        Some(bands) => {
            for band in 0..bands {
                let low = 64 * band / bands;
                let high = 64 * (band + 1) / bands;
                pairs_in_band(values, distance, low, high - low, distance / bands, pair);
            }
        }
        None => {
            for (a, &value) in values.iter().enumerate() {
                for (b, other) in values[..a].iter().enumerate() {
                    if (value ^ other).count_ones() <= distance {
                        pair(b as u32, a as u32);
                    }
                }
            }
        }
    }
}

/// The number of bands with the fewest expected comparisons; `None` where comparing all pairs is cheaper.
fn cheapest_bands(count: usize, distance: u32) -> Option<u32> {
    let n = count as f64;
    // A band's table of starts has 2^width entries: 22 bits are 16 MB.
    let cost = |bands: u32| {
        let width = 64u32.div_ceil(bands);
        let mut probes = 1.0;
        let mut choose = 1.0;
        for flips in 1..=distance / bands {
            choose *= f64::from(width - flips + 1) / f64::from(flips);
            probes += choose;
        }
        let table = 2f64.powi(width as i32);
        f64::from(bands) * (table + n * probes * (1.0 + n / table))
    };
    let best = (3..=32).filter(|&bands| distance / bands < 64 / bands).min_by(|&a, &b| cost(a).total_cmp(&cost(b)))?;
    (cost(best) < n * n / 2.0).then_some(best)
}

/// Pairs that agree up to `radius` bits in the band of `width` bits at `low`.
fn pairs_in_band(values: &[u64], distance: u32, low: u32, width: u32, radius: u32, pair: &mut dyn FnMut(u32, u32)) {
    let size = 1usize << width;
    let key = |value: u64| (value >> low) as usize & (size - 1);
    // Counting sort: positions by the band's value, `starts[key]..starts[key + 1]` each.
    let mut starts = vec![0u32; size + 1];
    for &value in values {
        starts[key(value) + 1] += 1;
    }
    for i in 0..size {
        starts[i + 1] += starts[i];
    }
    let mut next = starts.clone();
    let mut sorted = vec![(0u64, 0u32); values.len()];
    for (i, &value) in values.iter().enumerate() {
        let slot = &mut next[key(value)];
        sorted[*slot as usize] = (value, i as u32);
        *slot += 1;
    }
    let masks = flips(width, radius);
    for &(value, a) in &sorted {
        for &mask in &masks {
            let bucket = key(value) ^ mask;
            for &(other, b) in &sorted[starts[bucket] as usize..starts[bucket + 1] as usize] {
                // Every pair is met from both ends; one is enough.
                if a < b && (value ^ other).count_ones() <= distance {
                    pair(a, b);
                }
            }
        }
    }
}

/// Every mask of `width` bits with at most `radius` ones.
fn flips(width: u32, radius: u32) -> Vec<usize> {
    let mut masks = vec![0usize];
    let mut from = 0;
    for _ in 0..radius {
        let until = masks.len();
        for i in from..until {
            // Only bits above the highest one that is set: each mask is made once.
            let lowest = usize::BITS - masks[i].leading_zeros();
            masks.extend((lowest..width).map(|bit| masks[i] | 1 << bit).collect::<Vec<_>>());
        }
        from = until;
    }
    masks
}

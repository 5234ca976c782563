//! Buffers that the engine works in and hands back: once the first step has run, a step takes new memory only for what
//! is small beside them, such as the winning taps of max-pool.
//!
//! Fresh memory is dear: every page of it costs a fault, in a small network as much as the arithmetic on it. A buffer
//! serves lengths down to half its own, and one that has become too small makes room for its successor, so that the
//! pool holds about as many buffers as were ever in use at once, whatever lengths were asked for.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody is using, by their length.
static FREE: Mutex<BTreeMap<usize, Vec<Vec<f32>>>> = Mutex::new(BTreeMap::new());

/// A borrowed buffer; goes back when dropped.
pub struct Scratch {
    numbers: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// A buffer of `length` numbers, with whatever its last user left in it.
    pub fn take(length: usize) -> Self {
        let class = class(length);
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = free.range_mut(class..=2 * class).find_map(|(_, kept)| kept.pop());
        let outgrown = match fitting {
            Some(_) => None,
            None => free.range_mut(class / 2..class).rev().find_map(|(_, kept)| kept.pop()),
        };
        drop(free);
        drop(outgrown);
        Self { numbers: fitting.unwrap_or_else(|| vec![0.0; class]), length }
    }

    /// A buffer of `length` zeros.
    pub fn zeros(length: usize) -> Self {
        let mut zeros = Self::take(length);
        zeros.fill(0.0);
        zeros
    }

    /// A buffer with these numbers.
    pub fn of(numbers: &[f32]) -> Self {
        let mut copy = Self::take(numbers.len());
        copy.copy_from_slice(numbers);
        copy
    }
}

/// Held by whoever will need buffers again; when the last one goes, the memory of all unused buffers is given back.
pub struct Lease(());

/// Leases held.
static LEASES: AtomicUsize = AtomicUsize::new(0);

impl Default for Lease {
    fn default() -> Self {
        LEASES.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if LEASES.fetch_sub(1, Ordering::Relaxed) == 1 {
            FREE.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }
}

/// Length of the buffers that serve `length`: at most a quarter more.
fn class(length: usize) -> usize {
    let step = (length.next_power_of_two() / 8).max(64);
    length.next_multiple_of(step)
}

impl Deref for Scratch {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.numbers[..self.length]
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.numbers[..self.length]
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let numbers = std::mem::take(&mut self.numbers);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).entry(numbers.len()).or_default().push(numbers);
    }
}

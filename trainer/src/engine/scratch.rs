//! Buffers that kernels work in and hand back, so that a step takes no new memory once the first one has run.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, PoisonError};

/// Buffers that nobody is using.
static FREE: Mutex<Vec<Vec<f32>>> = Mutex::new(Vec::new());

/// A borrowed buffer; goes back when dropped.
pub struct Scratch {
    numbers: Vec<f32>,
    length: usize,
}

impl Scratch {
    /// A buffer of `length` numbers, with whatever its last user left in it.
    pub fn take(length: usize) -> Self {
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        // The smallest that is large enough, else the largest, which then grows.
        let fitting = (0..free.len()).filter(|&at| free[at].len() >= length).min_by_key(|&at| free[at].len());
        let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&at| free[at].len()));
        let mut numbers = chosen.map(|at| free.swap_remove(at)).unwrap_or_default();
        drop(free);
        if numbers.len() < length {
            // Nothing in it is worth copying.
            numbers = Vec::new();
            numbers.resize(length, 0.0);
        }
        Self { numbers, length }
    }
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
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(numbers);
    }
}

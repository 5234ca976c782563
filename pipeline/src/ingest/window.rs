//! How long files are gathered into one commit.
//!
//! In: how long nothing came before a batch, and how many files the last one brought. Out: the time that the next one may take.
//! A single face is seen after the shortest time. A stream that does not pause is gathered longer, a dense one longer still:
//! fewer and larger commits, so that reading stays fast while faces keep arriving.

use std::time::Duration;

/// How many times the shortest a stream is gathered that does not pause.
const STEADY: u32 = 3;
/// The same for a dense stream.
const DENSE: u32 = 5;
/// Files in the shortest time that make a stream dense.
const DENSE_FROM: u32 = 8;

pub(super) struct Window {
    shortest: Duration,
    now: Duration,
}

impl Window {
    pub fn new(shortest: Duration) -> Self {
        Self { shortest, now: shortest }
    }

    /// For a batch that begins after nothing came for `idle`; `files` came in the one before.
    pub fn next(&mut self, idle: Duration, files: usize) -> Duration {
        let dense_from = self.now.as_secs_f64() / self.shortest.as_secs_f64().max(f64::EPSILON) * f64::from(DENSE_FROM);
        let most = if files as f64 >= dense_from { DENSE } else { STEADY } * self.shortest;
        self.now = if idle < self.shortest { (2 * self.now).min(most) } else { self.shortest };
        self.now
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORTEST: Duration = Duration::from_millis(100);

    #[test]
    fn a_single_face_does_not_wait_and_a_stream_is_gathered() {
        let mut window = Window::new(SHORTEST);
        assert_eq!(window.next(Duration::from_secs(5), 0), SHORTEST);
        assert_eq!(window.next(Duration::from_millis(20), 5), 2 * SHORTEST);
        assert_eq!(window.next(Duration::from_millis(20), 10), STEADY * SHORTEST);
        assert_eq!(window.next(Duration::from_millis(20), 15), STEADY * SHORTEST, "fifty a second are not dense");
        assert_eq!(window.next(Duration::from_millis(20), 30), DENSE * SHORTEST, "a hundred are");
        assert_eq!(window.next(Duration::from_millis(20), 50), DENSE * SHORTEST);
        assert_eq!(window.next(Duration::from_millis(20), 20), STEADY * SHORTEST, "it has thinned out");
        assert_eq!(window.next(SHORTEST, 80), SHORTEST);
    }

    #[test]
    fn no_window_stays_none() {
        let mut window = Window::new(Duration::ZERO);
        assert_eq!(window.next(Duration::ZERO, 1000), Duration::ZERO);
    }
}

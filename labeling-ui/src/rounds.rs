//! What the API needs of the rest of the program to start and stop rounds: only the pipeline trains.

/// Who runs the rounds of this process.
pub trait Rounds: Send + Sync + 'static {
    /// Whether a round is under way.
    fn is_running(&self) -> bool;

    /// Asks for a round now; false where one is under way already.
    fn start(&self) -> bool;

    /// Stops the round under way and gives it up, so that nothing of it shows; false where none is.
    fn stop(&self) -> bool;
}

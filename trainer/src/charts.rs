//! Pictures of an evaluation, as SVG text: they open in every browser, and the colours follow the reader's.
//!
//! In: metrics and class names. Out: one self-contained document. Nothing here draws from the network or the clock, so
//! the same metrics always give the same bytes.

mod confusion;
mod drawing;
mod reliability;

pub use confusion::confusion;
pub use reliability::reliability;

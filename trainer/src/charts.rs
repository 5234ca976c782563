//! Pictures of evaluations and experiments, as SVG text: they open in every browser, and the colours follow the reader's.
//!
//! In: metrics, figures and names. Out: one self-contained document. Nothing here draws from the network or the clock, so
//! the same metrics always give the same bytes.

mod bars;
mod confusion;
mod curves;
mod drawing;
mod plane;
mod reliability;

pub use bars::{Bar, Level, bars};
pub use confusion::confusion;
pub use curves::{Curve, curves};
pub use reliability::reliability;

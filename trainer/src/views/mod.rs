//! What the network gets to see of a face: PIL-equal operators, and the weak, strong and plain views made of them.
//!
//! In: a decoded face of any size. Out: a face of the network's size, then numbers ([`pixels`]). Every operator gives
//! what PIL gives (point operators exactly), because published recipes and checkpoints were made with PIL.

pub mod affine;
pub mod blend;
pub mod cutout;
pub mod geometry;
pub mod operators;
pub mod pixels;
pub mod point;
pub mod strong;
pub mod weak;

pub use cutout::Cutout;
pub use operators::Operator;
pub use strong::Strong;
pub use weak::Weak;

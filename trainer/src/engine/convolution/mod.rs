//! Convolution without bias over activations with channels last.
//!
//! In: x (N, H, W, C), weight (O, C, k, k). Out: y (N, H', W', O). Winograd's way for 3×3 kernels with stride 1 and
//! many channels, a matrix product over the patches where they lie for the others.

mod geometry;
mod patches;
mod tiles;
mod winograd;

use candle_core::{Result, Tensor, bail};

pub use geometry::Geometry;

use super::maps::Activations;
use super::scratch::Scratch;
use super::simd::vectorise;
use super::storage::with_numbers;
use super::tape::{Gradients, Node, Record, Tape};

/// Largest Winograd tile of a forward pass with gradients. Rounding errors grow with the tile, and there they decide on
/// which side of a ReLU a value falls: beyond 2, gradients of early layers differ from PyTorch's by 1e-3 of their norm,
/// with 2 by 1e-4, as without Winograd.
const DECIDING_SIDE: usize = 2;
/// Largest Winograd tile of a backward pass and of inference, which decide nothing: errors stay at 1e-6 of the largest
/// result.
const LARGEST_SIDE: usize = 4;

/// Convolution with gradients. x (N, H, W, C), weight (O, C, k, k) → (N, H', W', O).
pub fn convolution(tape: &mut Tape, x: &Node, weight: &Tensor, stride: usize, padding: usize) -> Result<Node> {
    let geometry = Geometry::new(x.value(), weight.shape(), stride, padding)?;
    let y = apply(&geometry, x.value(), weight, &Finish::Set)?;
    Ok(tape.result(y.into(), Convolution { geometry, x: x.clone(), weight: weight.clone() }))
}

/// Convolution with bias (O), a shortcut of the result's shape and ReLU where wanted, for inference: no gradients.
pub fn convolution_bias(
    x: &Activations,
    weight: &Tensor,
    bias: &Tensor,
    [stride, padding]: [usize; 2],
    shortcut: Option<&Activations>,
    relu: bool,
) -> Result<Activations> {
    let geometry = Geometry::new(x, weight.shape(), stride, padding)?;
    if bias.elem_count() != geometry.outputs {
        bail!("a bias of {} values for {} outputs", bias.elem_count(), geometry.outputs);
    }
    if shortcut.is_some_and(|shortcut| (shortcut.images, shortcut.maps) != (x.images, geometry.output())) {
        bail!("a shortcut of another shape than {:?}", geometry.output());
    }
    let floor = if relu { 0.0 } else { f32::NEG_INFINITY };
    with_numbers(bias, |bias| {
        apply(&geometry, x, weight, &Finish::Inference { bias, shortcut: shortcut.map(Activations::numbers), floor })
    })
}

/// What becomes of sums of products.
pub enum Finish<'a> {
    /// They are the result.
    Set,
    /// They are added to what is there.
    Add,
    /// Bias (O) and shortcut (of the result's shape) are added, and what is below `floor` is cut.
    Inference { bias: &'a [f32], shortcut: Option<&'a [f32]>, floor: f32 },
}

impl Finish<'_> {
    /// On whole rows of `y`, which begin at `start` of the result.
    fn apply(&self, start: usize, y: &mut [f32], outputs: usize) {
        let Self::Inference { bias, shortcut, floor } = self else { return };
        if let Some(shortcut) = shortcut {
            let shortcut = &shortcut[start..][..y.len()];
            vectorise(
                #[inline(always)]
                || y.iter_mut().zip(shortcut).for_each(|(y, shortcut)| *y += shortcut),
            );
        }
        vectorise(
            #[inline(always)]
            || {
                for row in y.chunks_exact_mut(outputs) {
                    row.iter_mut().zip(*bias).for_each(|(y, bias)| *y = (*y + bias).max(*floor));
                }
            },
        );
    }
}

/// y = weight * x, finished as asked.
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], finish: &Finish) {
    geometry.check_lengths(x.len(), weight.len(), y.len());
    let largest = if let Finish::Inference { .. } = finish { LARGEST_SIDE } else { DECIDING_SIDE };
    match winograd::filtering(geometry, largest) {
        Some(tiles) => tiles.forward(x, weight, y, finish),
        None => patches::forward(geometry, x, weight, y, finish),
    }
}

/// Gradients of the weight (O, C, k, k) and, where wanted, of x (N, H, W, C): it is added to `dx`.
pub fn backward(
    geometry: &Geometry,
    x: &[f32],
    weight: &[f32],
    dy: &[f32],
    dweight: &mut [f32],
    dx: Option<&mut [f32]>,
) {
    geometry.check_lengths(x.len(), weight.len(), dy.len());
    geometry.check_lengths(dx.as_ref().map_or(x.len(), |dx| dx.len()), dweight.len(), dy.len());
    if let Some(tiles) = winograd::filtering(geometry, LARGEST_SIDE) {
        return tiles.backward(x, weight, dy, dweight, dx);
    }
    patches::weight_gradient(geometry, x, dy, dweight);
    if let Some(dx) = dx {
        patches::input_gradient(geometry, weight, dy, dx);
    }
}

struct Convolution {
    geometry: Geometry,
    x: Node,
    weight: Tensor,
}

impl Record for Convolution {
    fn backward(self: Box<Self>, dy: Scratch, gradients: &mut Gradients) -> Result<()> {
        let Self { geometry, x, weight } = *self;
        let mut dweight = Scratch::take(weight.elem_count());
        // Images at the network's entrance need no gradient, and theirs would be the dearest of all.
        let dx = gradients.sum_of(&x);
        with_numbers(&weight, |weight| {
            backward(&geometry, x.value().numbers(), weight, &dy, &mut dweight, dx);
            Ok(())
        })?;
        gradients.add_of(&weight, dweight);
        Ok(())
    }
}

fn apply(g: &Geometry, x: &Activations, weight: &Tensor, finish: &Finish) -> Result<Activations> {
    let maps = g.output();
    let mut y = Scratch::take(g.images * maps.size());
    with_numbers(weight, |weight| {
        forward(g, x.numbers(), weight, &mut y, finish);
        Ok(())
    })?;
    Activations::new(g.images, maps, y)
}

//! Convolution without bias over activations with channels last.
//!
//! In: x (N, H, W, C), weight (O, C, k, k). Out: y (N, H', W', O). Winograd's way for 3×3 kernels with stride 1, a matrix
//! product over copied patches for the others.

mod geometry;
mod patches;
mod tiles;
mod winograd;

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

pub use geometry::{Geometry, Maps};

use super::storage::{slice, tensor, with_numbers};
use super::timing::{Operator, timed};

/// Largest Winograd tile of a forward pass. Rounding errors grow with the tile, and here they decide which side of a ReLU
/// a value falls on: beyond 2, gradients of early layers differ from PyTorch's by 1e-3 of their norm, with 2 by 1e-4.
const FORWARD_SIDE: usize = 2;
/// Largest Winograd tile of a backward pass, which decides nothing: errors stay at 1e-6 of the largest result.
const BACKWARD_SIDE: usize = 4;

/// Convolution with gradients. x (N, H, W, C), weight (O, C, k, k) → (N, H', W', O).
pub fn convolution(x: &Tensor, weight: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    x.contiguous()?.apply_op2(&weight.contiguous()?, Convolution { stride, padding })
}

/// Convolution with bias (O) and optional ReLU, for inference: no gradients.
pub fn convolution_bias(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    stride: usize,
    padding: usize,
    relu: bool,
) -> Result<Tensor> {
    x.contiguous()?.apply_op3_no_bwd(
        &weight.contiguous()?,
        &bias.contiguous()?,
        &BiasedConvolution { stride, padding, relu },
    )
}

/// y = weight * x, with `bias` added and negative values cut (`relu`) where given.
pub fn forward(geometry: &Geometry, x: &[f32], weight: &[f32], y: &mut [f32], bias: Option<&[f32]>, relu: bool) {
    geometry.check_lengths(x.len(), weight.len(), y.len());
    match winograd::tile_side(geometry, FORWARD_SIDE) {
        Some(side) => winograd::forward(side, geometry, x, weight, y, bias, relu),
        None => patches::forward(geometry, x, weight, y, bias, relu),
    }
}

/// Gradients of the weight (O, C, k, k) and, where wanted, of x (N, H, W, C): `dx` must be zero.
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
    if let Some(side) = winograd::tile_side(geometry, BACKWARD_SIDE) {
        return winograd::backward(side, geometry, x, weight, dy, dweight, dx);
    }
    patches::weight_gradient(geometry, x, dy, dweight);
    if let Some(dx) = dx {
        patches::input_gradient(geometry, weight, dy, dx);
    }
}

struct Convolution {
    stride: usize,
    padding: usize,
}

impl CustomOp2 for Convolution {
    fn name(&self) -> &'static str {
        "convolution"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, w: &CpuStorage, lw: &Layout) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(lx.shape(), lw.shape(), self.stride, self.padding)?;
        apply(&geometry, slice(x, lx)?, slice(w, lw)?, None, false)
    }

    fn bwd(&self, x: &Tensor, w: &Tensor, _y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = Geometry::new(x.shape(), w.shape(), self.stride, self.padding)?;
        let mut dw = vec![0.0; w.elem_count()];
        // Images at the network's entrance need no gradient, and theirs would be the dearest of all.
        let mut dx = x.track_op().then(|| vec![0.0; x.elem_count()]);
        with_numbers(x, |x| {
            with_numbers(w, |w| {
                with_numbers(dy, |dy| {
                    timed(Operator::ConvolutionGradient, || {
                        backward(&geometry, x, w, dy, &mut dw, dx.as_deref_mut());
                    });
                    Ok(())
                })
            })
        })?;
        Ok((dx.map(|dx| tensor(dx, x.shape())).transpose()?, Some(tensor(dw, w.shape())?)))
    }
}

struct BiasedConvolution {
    stride: usize,
    padding: usize,
    relu: bool,
}

impl CustomOp3 for BiasedConvolution {
    fn name(&self) -> &'static str {
        "convolution with bias"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        w: &CpuStorage,
        lw: &Layout,
        b: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = Geometry::new(lx.shape(), lw.shape(), self.stride, self.padding)?;
        let bias = slice(b, lb)?;
        if bias.len() != geometry.outputs {
            candle_core::bail!("a bias of {} values for {} outputs", bias.len(), geometry.outputs);
        }
        apply(&geometry, slice(x, lx)?, slice(w, lw)?, Some(bias), self.relu)
    }
}

fn apply(g: &Geometry, x: &[f32], weight: &[f32], bias: Option<&[f32]>, relu: bool) -> Result<(CpuStorage, Shape)> {
    let maps = g.output();
    let mut y = vec![0.0; g.images * maps.size()];
    timed(Operator::Convolution, || forward(g, x, weight, &mut y, bias, relu));
    Ok((CpuStorage::F32(y), (g.images, maps.height, maps.width, maps.channels).into()))
}

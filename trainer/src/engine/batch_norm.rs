//! BatchNorm in train mode over groups of images, with ReLU fused in where wanted.
//!
//! A step's views go through the network in one batch, but each is normalised by its own statistics, as if it had
//! come alone; the running statistics then move once per view, in order. That gives the numbers of separate passes.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::storage::{slice, tensor, with_numbers};

/// PyTorch's default ε.
pub const EPSILON: f32 = 1e-5;
/// PyTorch's default momentum of the running statistics.
pub const MOMENTUM: f32 = 0.1;

/// What a batch looked like, per group and channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// Mean of every channel of every group, [group][channel].
    pub mean: Vec<Vec<f32>>,
    /// Biased variance, [group][channel].
    pub variance: Vec<Vec<f32>>,
    /// Values per channel in every group.
    pub count: Vec<usize>,
}

impl Statistics {
    /// Moves running statistics by every group in order, with the unbiased variance (as PyTorch does).
    pub fn move_running(&self, running_mean: &mut [f32], running_variance: &mut [f32]) {
        for ((mean, variance), &count) in self.mean.iter().zip(&self.variance).zip(&self.count) {
            let unbiased = count as f32 / (count as f32 - 1.0);
            for (running, mean) in running_mean.iter_mut().zip(mean) {
                *running = (1.0 - MOMENTUM) * *running + MOMENTUM * mean;
            }
            for (running, variance) in running_variance.iter_mut().zip(variance) {
                *running = (1.0 - MOMENTUM) * *running + MOMENTUM * (variance * unbiased);
            }
        }
    }
}

/// Normalises x (C, N, H, W) by the statistics of each group of images, scales by weight (C), shifts by bias (C), and
/// cuts negative values where `relu`. `groups` are numbers of images that add up to N.
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: &[usize],
    relu: bool,
) -> Result<(Tensor, Statistics)> {
    let (_, images, height, width) = x.dims4()?;
    if groups.iter().sum::<usize>() != images {
        bail!("BatchNorm groups {groups:?} do not add up to {images} images");
    }
    let lengths: Vec<usize> = groups.iter().map(|images| images * height * width).collect();
    if lengths.iter().any(|&length| length < 2) {
        bail!("BatchNorm needs more than one value per channel in train mode, got groups of {lengths:?}");
    }
    let saved = Arc::new(OnceLock::new());
    let op = BatchNorm { lengths: lengths.clone(), relu, saved: saved.clone() };
    let y = x.contiguous()?.apply_op3(weight, bias, op)?;
    let Some(saved) = saved.get() else { bail!("BatchNorm: no statistics after forward") };
    let by_group = |pick: fn(&Moments) -> f32| {
        (0..groups.len()).map(|group| saved.iter().map(|channel| pick(&channel[group])).collect()).collect()
    };
    let statistics = Statistics { mean: by_group(|m| m.mean), variance: by_group(|m| m.variance), count: lengths };
    Ok((y, statistics))
}

/// Mean and biased variance of one channel of one group.
#[derive(Clone, Copy, Debug)]
struct Moments {
    mean: f32,
    variance: f32,
}

impl Moments {
    fn of(values: &[f32]) -> Self {
        let count = values.len() as f64;
        let mean = sum(values, |value| value) / count;
        let shift = mean as f32;
        let variance = sum(values, |value| (value - shift) * (value - shift)) / count;
        Self { mean: shift, variance: variance as f32 }
    }

    fn inverse_deviation(&self) -> f32 {
        1.0 / (self.variance + EPSILON).sqrt()
    }
}

struct BatchNorm {
    /// Values per channel in every group.
    lengths: Vec<usize>,
    relu: bool,
    /// [channel][group], written by the forward pass.
    saved: Arc<OnceLock<Vec<Vec<Moments>>>>,
}

impl BatchNorm {
    fn forward_row(&self, x: &[f32], weight: f32, bias: f32, y: &mut [f32]) -> Vec<Moments> {
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let mut start = 0;
        let mut moments = Vec::with_capacity(self.lengths.len());
        for &length in &self.lengths {
            let x = &x[start..start + length];
            let group = Moments::of(x);
            let scale = weight * group.inverse_deviation();
            // The mean comes off first: folded into the bias, it would cost digits where it is large.
            for (y, x) in y[start..start + length].iter_mut().zip(x) {
                *y = ((x - group.mean) * scale + bias).max(floor);
            }
            moments.push(group);
            start += length;
        }
        moments
    }

    /// Writes dx of one channel; returns its share of the gradients of weight and bias.
    fn backward_row(
        &self,
        x: &[f32],
        y: &[f32],
        dy: &[f32],
        weight: f32,
        moments: &[Moments],
        dx: &mut [f32],
    ) -> (f32, f32) {
        // dx first holds dy with ReLU's zeros put in.
        if self.relu {
            for ((dx, dy), y) in dx.iter_mut().zip(dy).zip(y) {
                *dx = if *y > 0.0 { *dy } else { 0.0 };
            }
        } else {
            dx.copy_from_slice(dy);
        }
        let (mut dweight, mut dbias, mut start) = (0.0f64, 0.0f64, 0);
        for (&length, group) in self.lengths.iter().zip(moments) {
            let (x, dx) = (&x[start..start + length], &mut dx[start..start + length]);
            let (mean, inverse) = (group.mean, group.inverse_deviation());
            let total = sum(dx, |gradient| gradient);
            let along = sum_products(dx, x, mean) * f64::from(inverse);
            dbias += total;
            dweight += along;
            let scale = weight * inverse;
            let total = (total / length as f64) as f32;
            let along = (along / length as f64) as f32 * inverse;
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = scale * (*dx - total - (x - mean) * along);
            }
            start += length;
        }
        (dweight as f32, dbias as f32)
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        weight: &CpuStorage,
        lw: &Layout,
        bias: &CpuStorage,
        lb: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, weight, bias) = (slice(x, lx)?, slice(weight, lw)?, slice(bias, lb)?);
        let row = self.lengths.iter().sum::<usize>();
        let mut y = vec![0.0; x.len()];
        let moments = y
            .par_chunks_mut(row)
            .zip(x.par_chunks(row))
            .zip(weight.par_iter().zip(bias))
            .map(|((y, x), (&weight, &bias))| self.forward_row(x, weight, bias, y))
            .collect();
        let _ = self.saved.set(moments);
        Ok((CpuStorage::F32(y), lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        weight: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        dy: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let Some(moments) = self.saved.get() else { bail!("BatchNorm: backward before forward") };
        let row = self.lengths.iter().sum::<usize>();
        let mut dx = vec![0.0; x.elem_count()];
        let parameters: Vec<(f32, f32)> = with_numbers(x, |x| {
            with_numbers(y, |y| {
                with_numbers(dy, |dy| {
                    with_numbers(weight, |weight| {
                        Ok(dx
                            .par_chunks_mut(row)
                            .zip(x.par_chunks(row).zip(y.par_chunks(row)).zip(dy.par_chunks(row)))
                            .zip(weight.par_iter().zip(moments))
                            .map(|((dx, ((x, y), dy)), (&weight, moments))| {
                                self.backward_row(x, y, dy, weight, moments, dx)
                            })
                            .collect())
                    })
                })
            })
        })?;
        let (dweight, dbias): (Vec<f32>, Vec<f32>) = parameters.into_iter().unzip();
        Ok((Some(tensor(dx, x.shape())?), Some(tensor(dweight, weight.shape())?), Some(tensor(dbias, bias.shape())?)))
    }
}

/// Lanes summed side by side, so that the loops below become vector instructions.
const LANES: usize = 16;

/// Sum of `f` over the values: short runs in single precision, the runs in double.
fn sum(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for run in values.chunks(LANES * 32) {
        let mut lanes = [0.0f32; LANES];
        let chunks = run.chunks_exact(LANES);
        total += chunks.remainder().iter().map(|&value| f64::from(f(value))).sum::<f64>();
        for chunk in chunks {
            lanes.iter_mut().zip(chunk).for_each(|(lane, &value)| *lane += f(value));
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

/// Sum of gradient · (x − mean), as above.
fn sum_products(gradients: &[f32], x: &[f32], mean: f32) -> f64 {
    let mut total = 0.0;
    for (gradients, x) in gradients.chunks(LANES * 32).zip(x.chunks(LANES * 32)) {
        let mut lanes = [0.0f32; LANES];
        let (gradients, x) = (gradients.chunks_exact(LANES), x.chunks_exact(LANES));
        let rest = gradients.remainder().iter().zip(x.remainder());
        total += rest.map(|(&gradient, &x)| f64::from(gradient * (x - mean))).sum::<f64>();
        for (gradients, x) in gradients.zip(x) {
            for ((lane, &gradient), &x) in lanes.iter_mut().zip(gradients).zip(x) {
                *lane += gradient * (x - mean);
            }
        }
        total += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    total
}

//! The end of a residual block: the sum of both branches, negative values cut.

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::simd::vectorise;
use super::storage::{slice, tensor, with_numbers};
use super::timing::{Operator, timed};

/// Values a thread takes at a time.
const CHUNK: usize = 32 * 1024;

/// max(a + b, 0) for tensors of one shape.
pub fn add_relu(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    a.contiguous()?.apply_op2(&b.contiguous()?, AddRelu)
}

struct AddRelu;

impl CustomOp2 for AddRelu {
    fn name(&self) -> &'static str {
        "add and relu"
    }

    fn cpu_fwd(&self, a: &CpuStorage, la: &Layout, b: &CpuStorage, lb: &Layout) -> Result<(CpuStorage, Shape)> {
        if la.shape() != lb.shape() {
            bail!("add and relu of {:?} and {:?}", la.shape(), lb.shape());
        }
        let (a, b) = (slice(a, la)?, slice(b, lb)?);
        let mut y = vec![0.0; a.len()];
        timed(Operator::AddRelu, || {
            y.par_chunks_mut(CHUNK).zip(a.par_chunks(CHUNK).zip(b.par_chunks(CHUNK))).for_each(|(y, (a, b))| {
                vectorise(
                    #[inline(always)]
                    || y.iter_mut().zip(a.iter().zip(b)).for_each(|(y, (a, b))| *y = (a + b).max(0.0)),
                );
            });
        });
        Ok((CpuStorage::F32(y), la.shape().clone()))
    }

    fn bwd(&self, _a: &Tensor, _b: &Tensor, y: &Tensor, dy: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let mut gradient = vec![0.0; y.elem_count()];
        with_numbers(y, |y| {
            with_numbers(dy, |dy| {
                let sources = y.par_chunks(CHUNK).zip(dy.par_chunks(CHUNK));
                timed(Operator::AddRelu, || {
                    gradient.par_chunks_mut(CHUNK).zip(sources).for_each(|(gradient, (y, dy))| {
                        vectorise(
                            #[inline(always)]
                            || {
                                for (gradient, (y, dy)) in gradient.iter_mut().zip(y.iter().zip(dy)) {
                                    *gradient = if *y > 0.0 { *dy } else { 0.0 };
                                }
                            },
                        );
                    });
                });
                Ok(())
            })
        })?;
        let gradient = tensor(gradient, y.shape())?;
        Ok((Some(gradient.clone()), Some(gradient)))
    }
}

//! BatchNorm in train mode over groups of images, with the ReLU behind it fused in where wanted.
//!
//! A step's views go through the network in one batch, but each is normalised by its own statistics, as if it had
//! come alone; the running statistics then move once per view, in order. That gives the numbers of separate passes.
//! Sums run over one image at a time in single precision and over images in double, in the same order on any number of
//! threads.

use std::sync::{Arc, OnceLock};

use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};
use rayon::prelude::*;

use super::simd::vectorise;
use super::storage::{slice, tensor, with_numbers};
use super::timing::{Operator, timed};

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

/// Normalises x (N, H, W, C) by the statistics of each group of images, scales by weight (C), shifts by bias (C), and
/// cuts negative values where `relu`. `groups` are numbers of images that add up to N.
pub fn batch_norm(
    x: &Tensor,
    weight: &Tensor,
    bias: &Tensor,
    groups: &[usize],
    relu: bool,
) -> Result<(Tensor, Statistics)> {
    let (images, height, width, channels) = x.dims4()?;
    if groups.iter().sum::<usize>() != images {
        bail!("BatchNorm groups {groups:?} do not add up to {images} images");
    }
    if let Some(group) = groups.iter().find(|&&group| group * height * width < 2) {
        bail!("BatchNorm needs more than one value per channel in train mode, got {group} images of {height}×{width}");
    }
    if [weight.dims(), bias.dims()] != [&[channels]; 2] {
        bail!("BatchNorm of {channels} channels with weight {:?} and bias {:?}", weight.shape(), bias.shape());
    }
    let saved = Arc::new(OnceLock::new());
    let op = BatchNorm { groups: groups.to_vec(), area: height * width, relu, saved: saved.clone() };
    let y = x.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, op)?;
    let Some(saved) = saved.get() else { bail!("BatchNorm: no statistics after forward") };
    let by_group = |pick: fn(&Moments) -> &Vec<f32>| saved.iter().map(|group| pick(group).clone()).collect();
    let count = groups.iter().map(|images| images * height * width).collect();
    let statistics = Statistics { mean: by_group(|m| &m.mean), variance: by_group(|m| &m.variance), count };
    Ok((y, statistics))
}

/// Mean and biased variance of every channel of one group.
#[derive(Clone, Debug)]
struct Moments {
    mean: Vec<f32>,
    variance: Vec<f32>,
}

impl Moments {
    /// Of a group's images: each one's own moments first, then Chan's rule for their union.
    fn of(images: &[ImageMoments], area: usize) -> Self {
        let channels = images.first().map_or(0, |image| image.mean.len());
        let (count, area) = (images.len() as f64, area as f64);
        let mut moments = Self { mean: Vec::with_capacity(channels), variance: Vec::with_capacity(channels) };
        for channel in 0..channels {
            let mean = images.iter().map(|image| f64::from(image.mean[channel])).sum::<f64>() / count;
            let within: f64 = images.iter().map(|image| f64::from(image.squares[channel])).sum();
            let between: f64 = images.iter().map(|image| (f64::from(image.mean[channel]) - mean).powi(2)).sum();
            moments.mean.push(mean as f32);
            moments.variance.push(((within / area + between) / count) as f32);
        }
        moments
    }

    fn inverse_deviations(&self) -> Vec<f32> {
        self.variance.iter().map(|variance| 1.0 / (variance + EPSILON).sqrt()).collect()
    }
}

/// Mean and sum of squared distances from it of every channel of one image.
struct ImageMoments {
    mean: Vec<f32>,
    squares: Vec<f32>,
}

impl ImageMoments {
    fn of(image: &[f32], channels: usize) -> Self {
        let area = (image.len() / channels) as f32;
        let mut moments = Self { mean: vec![0.0; channels], squares: vec![0.0; channels] };
        let Self { mean, squares } = &mut moments;
        vectorise(
            #[inline(always)]
            || {
                for place in image.chunks_exact(channels) {
                    mean.iter_mut().zip(place).for_each(|(sum, x)| *sum += x);
                }
                mean.iter_mut().for_each(|sum| *sum /= area);
                for place in image.chunks_exact(channels) {
                    for ((sum, x), mean) in squares.iter_mut().zip(place).zip(&*mean) {
                        *sum += (x - mean) * (x - mean);
                    }
                }
            },
        );
        moments
    }
}

struct BatchNorm {
    /// Images in every group.
    groups: Vec<usize>,
    /// Places of an image.
    area: usize,
    relu: bool,
    /// By group, written by the forward pass.
    saved: Arc<OnceLock<Vec<Moments>>>,
}

/// What one image adds to the gradients, by channel: Σ dy and Σ dy · (x − mean), dy with ReLU's zeros put in.
struct ImageSums {
    total: Vec<f32>,
    along: Vec<f32>,
}

/// How one group turns dy into dx, by channel: dx = scale · (dy − total − (x − mean) · along).
struct Slopes {
    scale: Vec<f32>,
    total: Vec<f32>,
    along: Vec<f32>,
}

impl BatchNorm {
    /// The group of every image.
    fn group_of(&self) -> Vec<usize> {
        self.groups.iter().enumerate().flat_map(|(group, &images)| std::iter::repeat_n(group, images)).collect()
    }

    fn moments(&self, x: &[f32], channels: usize) -> Vec<Moments> {
        let images: Vec<ImageMoments> =
            x.par_chunks(self.area * channels).map(|image| ImageMoments::of(image, channels)).collect();
        let mut start = 0;
        let mut moments = Vec::with_capacity(self.groups.len());
        for &count in &self.groups {
            moments.push(Moments::of(&images[start..start + count], self.area));
            start += count;
        }
        moments
    }

    fn normalise(&self, x: &[f32], weight: &[f32], bias: &[f32], moments: &[Moments], y: &mut [f32]) {
        let channels = weight.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        let scales: Vec<Vec<f32>> = moments
            .iter()
            .map(|group| {
                group.inverse_deviations().iter().zip(weight).map(|(inverse, weight)| inverse * weight).collect()
            })
            .collect();
        let group_of = self.group_of();
        let size = self.area * channels;
        y.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(image, (y, x))| {
            let (mean, scale) = (&moments[group_of[image]].mean, &scales[group_of[image]]);
            vectorise(
                #[inline(always)]
                || {
                    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
                        let constants = mean.iter().zip(scale).zip(bias);
                        for ((y, x), ((mean, scale), bias)) in y.iter_mut().zip(x).zip(constants) {
                            // The mean comes off first: folded into the bias, it would cost digits where it is large.
                            *y = ((x - mean) * scale + bias).max(floor);
                        }
                    }
                },
            );
        });
    }

    fn image_sums(&self, x: &[f32], y: &[f32], dy: &[f32], mean: &[f32]) -> ImageSums {
        let channels = mean.len();
        let mut sums = ImageSums { total: vec![0.0; channels], along: vec![0.0; channels] };
        let ImageSums { total, along } = &mut sums;
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        vectorise(
            #[inline(always)]
            || {
                let places = x.chunks_exact(channels).zip(y.chunks_exact(channels)).zip(dy.chunks_exact(channels));
                for ((x, y), dy) in places {
                    let sums = total.iter_mut().zip(&mut *along);
                    for (((((total, along), x), y), dy), mean) in sums.zip(x).zip(y).zip(dy).zip(mean) {
                        let dy = if *y > floor { *dy } else { 0.0 };
                        *total += dy;
                        *along += dy * (x - mean);
                    }
                }
            },
        );
        sums
    }

    /// The slopes of every group, and the gradients of weight and bias.
    fn slopes(&self, images: &[ImageSums], weight: &[f32], moments: &[Moments]) -> (Vec<Slopes>, Vec<f32>, Vec<f32>) {
        let channels = weight.len();
        let (mut dweight, mut dbias) = (vec![0.0f64; channels], vec![0.0f64; channels]);
        let mut start = 0;
        let mut slopes = Vec::with_capacity(self.groups.len());
        for (&images_here, moments) in self.groups.iter().zip(moments) {
            let images = &images[start..start + images_here];
            let count = (images_here * self.area) as f64;
            let mut slope = Slopes { scale: Vec::new(), total: Vec::new(), along: Vec::new() };
            for (channel, inverse) in moments.inverse_deviations().into_iter().enumerate() {
                let total: f64 = images.iter().map(|image| f64::from(image.total[channel])).sum();
                let along: f64 =
                    images.iter().map(|image| f64::from(image.along[channel])).sum::<f64>() * f64::from(inverse);
                dbias[channel] += total;
                dweight[channel] += along;
                slope.scale.push(weight[channel] * inverse);
                slope.total.push((total / count) as f32);
                slope.along.push((along / count) as f32 * inverse);
            }
            slopes.push(slope);
            start += images_here;
        }
        let narrow = |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect();
        (slopes, narrow(dweight), narrow(dbias))
    }

    fn image_gradient(&self, x: &[f32], y: &[f32], dy: &[f32], mean: &[f32], slopes: &Slopes, dx: &mut [f32]) {
        let channels = mean.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        vectorise(
            #[inline(always)]
            || {
                let places = x.chunks_exact(channels).zip(y.chunks_exact(channels)).zip(dy.chunks_exact(channels));
                for (dx, ((x, y), dy)) in dx.chunks_exact_mut(channels).zip(places) {
                    let constants = mean.iter().zip(&slopes.scale).zip(&slopes.total).zip(&slopes.along);
                    let values = dx.iter_mut().zip(x).zip(y).zip(dy);
                    for ((((dx, x), y), dy), (((mean, scale), total), along)) in values.zip(constants) {
                        let dy = if *y > floor { *dy } else { 0.0 };
                        *dx = scale * (dy - total - (x - mean) * along);
                    }
                }
            },
        );
    }

    /// dx, dweight and dbias.
    fn gradients(
        &self,
        [x, y, dy]: [&[f32]; 3],
        weight: &[f32],
        moments: &[Moments],
        dx: &mut [f32],
    ) -> (Vec<f32>, Vec<f32>) {
        let size = self.area * weight.len();
        let group_of = self.group_of();
        let images = x.par_chunks(size).zip(y.par_chunks(size)).zip(dy.par_chunks(size)).enumerate();
        let sums: Vec<ImageSums> = images
            .clone()
            .map(|(image, ((x, y), dy))| self.image_sums(x, y, dy, &moments[group_of[image]].mean))
            .collect();
        let (slopes, dweight, dbias) = self.slopes(&sums, weight, moments);
        dx.par_chunks_mut(size).zip(images).for_each(|(dx, (image, ((x, y), dy)))| {
            let group = group_of[image];
            self.image_gradient(x, y, dy, &moments[group].mean, &slopes[group], dx);
        });
        (dweight, dbias)
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
        let mut y = vec![0.0; x.len()];
        let moments = timed(Operator::BatchNorm, || {
            let moments = self.moments(x, weight.len());
            self.normalise(x, weight, bias, &moments, &mut y);
            moments
        });
        // Only one forward pass happens per application; a second would see the same input.
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
        let mut dx = vec![0.0; x.elem_count()];
        let (dweight, dbias) = with_numbers(x, |x| {
            with_numbers(y, |y| {
                with_numbers(dy, |dy| {
                    with_numbers(weight, |weight| {
                        Ok(timed(Operator::BatchNormGradient, || self.gradients([x, y, dy], weight, moments, &mut dx)))
                    })
                })
            })
        })?;
        Ok((Some(tensor(dx, x.shape())?), Some(tensor(dweight, weight.shape())?), Some(tensor(dbias, bias.shape())?)))
    }
}

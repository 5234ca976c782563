//! BatchNorm in train mode over groups of images, with the shortcut of a residual block and the ReLU behind it fused in
//! where wanted.
//!
//! A step's views go through the network in one batch, but each is normalised by its own statistics, as if it had
//! come alone; the running statistics then move once per view, in order. That gives the numbers of separate passes.
//! Sums run over one image at a time in single precision and over images in double, in the same order on any number of
//! threads.

mod image;

use std::sync::Arc;

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use self::image::{ImageMoments, ImageSums, Slopes};
use super::maps::Activations;
use super::scratch::Scratch;
use super::storage::with_numbers;
use super::tape::{Gradients, Node, Place, Record, Tape};

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

/// The layer's parameters and what is fused behind it.
pub struct Layer<'a> {
    /// Scale (C).
    pub weight: &'a Tensor,
    /// Shift (C).
    pub bias: &'a Tensor,
    /// Added to the result, of its shape.
    pub shortcut: Option<&'a Node>,
    /// Whether negative values are then cut.
    pub relu: bool,
}

/// Normalises x (N, H, W, C) by the statistics of each group of images, scales, shifts, and does what is fused behind.
/// `groups` are numbers of images that add up to N.
pub fn batch_norm(tape: &mut Tape, x: &Node, layer: &Layer, groups: &[usize]) -> Result<(Node, Statistics)> {
    let value = x.value();
    let (images, area, channels) = (value.images, value.maps.area(), value.maps.channels);
    if groups.iter().sum::<usize>() != images {
        bail!("BatchNorm groups {groups:?} do not add up to {images} images");
    }
    if let Some(group) = groups.iter().find(|&&group| group * area < 2) {
        let maps = value.maps;
        bail!("BatchNorm needs more than one value per channel in train mode, got {group} images of {maps:?}");
    }
    let (weight, bias) = (layer.weight, layer.bias);
    if [weight.dims(), bias.dims()] != [&[channels]; 2] {
        bail!("BatchNorm of {channels} channels with weight {:?} and bias {:?}", weight.shape(), bias.shape());
    }
    let shortcut = layer.shortcut.map(Node::value);
    if shortcut.is_some_and(|shortcut| (shortcut.images, shortcut.maps) != (images, value.maps)) {
        bail!("BatchNorm of {:?} with a shortcut of another shape", value.maps);
    }
    let op = BatchNorm { groups: groups.to_vec(), area, relu: layer.relu };
    let mut y = Scratch::take(value.numbers().len());
    let moments = with_numbers(weight, |weight| {
        with_numbers(bias, |bias| {
            let moments = op.moments(value.numbers(), channels);
            op.normalise(value.numbers(), [weight, bias], &moments, shortcut.map(Activations::numbers), &mut y);
            Ok(moments)
        })
    })?;
    let count = groups.iter().map(|images| images * area).collect();
    let by_group = |pick: fn(&Moments) -> &Vec<f32>| moments.iter().map(|group| pick(group).clone()).collect();
    let statistics = Statistics { mean: by_group(|m| &m.mean), variance: by_group(|m| &m.variance), count };
    let y = Arc::new(Activations::new(images, value.maps, y)?);
    let record = Applied {
        relu_of: layer.relu.then(|| y.clone()),
        x: x.clone(),
        weight: weight.clone(),
        bias: bias.clone(),
        shortcut: layer.shortcut.map(Node::place),
        moments,
        op,
    };
    Ok((tape.result(y, record), statistics))
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

struct BatchNorm {
    /// Images in every group.
    groups: Vec<usize>,
    /// Places of an image.
    area: usize,
    relu: bool,
}

/// One application, for its gradient.
struct Applied {
    op: BatchNorm,
    x: Node,
    /// The result, where a ReLU cut it.
    relu_of: Option<Arc<Activations>>,
    weight: Tensor,
    bias: Tensor,
    /// Where the shortcut's gradient goes, if there was one.
    shortcut: Option<Place>,
    /// By group.
    moments: Vec<Moments>,
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

    fn normalise(
        &self,
        x: &[f32],
        [weight, bias]: [&[f32]; 2],
        moments: &[Moments],
        shortcut: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let scales: Vec<Vec<f32>> = moments
            .iter()
            .map(|group| {
                group.inverse_deviations().iter().zip(weight).map(|(inverse, weight)| inverse * weight).collect()
            })
            .collect();
        let group_of = self.group_of();
        let size = self.area * weight.len();
        let floor = if self.relu { 0.0 } else { f32::NEG_INFINITY };
        y.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate().for_each(|(number, (y, x))| {
            let group = group_of[number];
            let constants = [&moments[group].mean, &scales[group], bias];
            match shortcut {
                Some(shortcut) => image::normalise::<true>(x, constants, &shortcut[number * size..][..size], floor, y),
                None => image::normalise::<false>(x, constants, x, floor, y),
            }
        });
    }

    /// The slopes of every group, and the gradients of weight and bias.
    fn slopes(&self, images: &[ImageSums], weight: &[f32], moments: &[Moments]) -> (Vec<Slopes>, [Vec<f64>; 2]) {
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
        (slopes, [dweight, dbias])
    }

    /// Turns `x` into its gradient, and `dy` into that of the sum before the ReLU; gives dweight and dbias.
    fn gradients(
        &self,
        x: &mut [f32],
        y: Option<&[f32]>,
        dy: &mut [f32],
        weight: &[f32],
        moments: &[Moments],
    ) -> [Vec<f64>; 2] {
        let size = self.area * weight.len();
        let group_of = self.group_of();
        let images = dy.par_chunks_mut(size).zip(x.par_chunks(size)).enumerate();
        let sums: Vec<ImageSums> = images
            .map(|(number, (dy, x))| {
                let mean = &moments[group_of[number]].mean;
                match y {
                    Some(y) => image::sums::<true>(x, &y[number * size..][..size], dy, mean),
                    None => image::sums::<false>(x, x, dy, mean),
                }
            })
            .collect();
        let (slopes, parameters) = self.slopes(&sums, weight, moments);
        x.par_chunks_mut(size).zip(dy.par_chunks(size)).enumerate().for_each(|(number, (x, dy))| {
            let group = group_of[number];
            image::gradient(x, dy, &moments[group].mean, &slopes[group]);
        });
        parameters
    }
}

impl Record for Applied {
    fn backward(self: Box<Self>, mut dy: Scratch, gradients: &mut Gradients) -> Result<()> {
        let Self { op, x, relu_of, weight, bias, shortcut, moments } = *self;
        // Nobody reads x any more, so its gradient takes its place.
        let (place, mut dx) = x.into_parts();
        let y = relu_of.as_ref().map(|y| y.numbers());
        let [dweight, dbias] = with_numbers(&weight, |weight| Ok(op.gradients(&mut dx, y, &mut dy, weight, &moments)))?;
        for (parameter, gradient) in [(weight, dweight), (bias, dbias)] {
            let mut narrow = Scratch::take(gradient.len());
            narrow.iter_mut().zip(gradient).for_each(|(to, from)| *to = from as f32);
            gradients.add_of(&parameter, narrow);
        }
        gradients.add(place, dx);
        if let Some(shortcut) = shortcut {
            gradients.add(shortcut, dy);
        }
        Ok(())
    }
}

//! BatchNorm in train mode over groups of images, as the engine's ([`crate::engine::batch_norm`]).
//!
//! Groups may differ in size: sums over a group's images, and handing a group's numbers to its images, are products
//! with small matrices of group membership, which serve all groups at once.

use candle_core::{DType, Device, Result, Tensor, bail};

use super::tape::{Node, Tape};
use crate::engine::batch_norm::{EPSILON, Statistics};

/// Which image belongs to which group, for all layers of one pass.
#[derive(Clone)]
pub struct Groups {
    /// Images in every group.
    images: Vec<usize>,
    /// 1 where the image is in the group: (N, G).
    membership: Tensor,
    /// Means over a group's images: (G, N).
    averages: Tensor,
}

impl Groups {
    /// `images` are the numbers of images in every group.
    pub fn new(images: &[usize], device: &Device) -> Result<Self> {
        let group_of = images.iter().enumerate().flat_map(|(group, &count)| std::iter::repeat_n(group, count));
        let (count, groups) = (images.iter().sum::<usize>(), images.len());
        let (mut membership, mut averages) = (vec![0f32; count * groups], vec![0f32; count * groups]);
        for (image, group) in group_of.enumerate() {
            membership[image * groups + group] = 1.0;
            averages[group * count + image] = 1.0 / images[group] as f32;
        }
        Ok(Self {
            images: images.to_vec(),
            membership: Tensor::from_vec(membership, (count, groups), device)?,
            averages: Tensor::from_vec(averages, (groups, count), device)?,
        })
    }

    /// Means of per-image numbers over every group: (N, C) → (G, C).
    fn mean(&self, per_image: &Tensor) -> Result<Tensor> {
        self.averages.matmul(per_image)
    }

    /// Sums of the same.
    fn sum(&self, per_image: &Tensor) -> Result<Tensor> {
        self.membership.t()?.matmul(per_image)
    }

    /// A group's numbers at each of its images: (G, C) → (N, C, 1, 1).
    fn at_images(&self, per_group: &Tensor) -> Result<Tensor> {
        let rows = self.membership.matmul(per_group)?;
        rows.reshape((rows.dim(0)?, rows.dim(1)?, 1, 1))
    }
}

/// The layer's parameters and what follows it.
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

/// What a batch looked like, still on the device.
pub struct Seen {
    /// Mean, then biased variance: (2, G, C).
    moments: Tensor,
    /// Values per channel in every group.
    count: Vec<usize>,
}

impl Seen {
    /// All layers' statistics in one transfer: a device is waited for once a pass, not twice a layer.
    pub fn read(layers: &[Self]) -> Result<Vec<Statistics>> {
        let flat = layers.iter().map(|seen| seen.moments.flatten_all()).collect::<Result<Vec<_>>>()?;
        if flat.is_empty() {
            return Ok(Vec::new());
        }
        let numbers = Tensor::cat(&flat, 0)?.to_vec1::<f32>()?;
        let mut rest = numbers.as_slice();
        let statistics = layers.iter().map(|seen| {
            let (here, later) = rest.split_at(seen.moments.elem_count());
            rest = later;
            let channels = here.len() / (2 * seen.count.len());
            let rows: Vec<Vec<f32>> = here.chunks_exact(channels).map(<[f32]>::to_vec).collect();
            let (mean, variance) = rows.split_at(seen.count.len());
            Statistics { mean: mean.to_vec(), variance: variance.to_vec(), count: seen.count.clone() }
        });
        Ok(statistics.collect())
    }
}

/// Normalises x (N, C, H, W) by the statistics of each group of images, scales, shifts, adds the shortcut, cuts.
pub fn batch_norm(tape: &mut Tape, x: &Node, layer: &Layer, groups: &Groups) -> Result<(Node, Seen)> {
    let (_, channels, height, width) = x.value().dims4()?;
    let area = height * width;
    if let Some(images) = groups.images.iter().find(|&&images| images * area < 2) {
        bail!("BatchNorm needs more than one value per channel in train mode, got {images} images of {height}×{width}");
    }
    let per_channel = |vector: &Tensor| vector.detach().reshape((1, channels, 1, 1));
    let mean = groups.mean(&x.value().mean((2, 3))?)?;
    let centred = x.value().broadcast_sub(&groups.at_images(&mean)?)?;
    let variance = groups.mean(&centred.sqr()?.mean((2, 3))?)?;
    let inverse = (&variance + f64::from(EPSILON))?.sqrt()?.recip()?;
    let scale = groups.at_images(&inverse.broadcast_mul(&layer.weight.detach())?)?;
    let mut y = centred.broadcast_mul(&scale)?.broadcast_add(&per_channel(layer.bias)?)?;
    if let Some(shortcut) = layer.shortcut {
        y = (y + shortcut.value())?;
    }
    if layer.relu {
        y = y.relu()?;
    }
    let seen = Seen {
        moments: Tensor::stack(&[&mean, &variance], 0)?,
        count: groups.images.iter().map(|images| images * area).collect(),
    };
    let applied = Applied { groups: groups.clone(), centred, inverse, scale, area };
    let cut_by = layer.relu.then(|| y.clone());
    let (place, shortcut) = (x.place(), layer.shortcut.map(Node::place));
    let [weight, bias] = [layer.weight, layer.bias].map(Tensor::id);
    let y = tape.result(y, move |mut dy, gradients| {
        if let Some(y) = cut_by {
            dy = (dy * y.gt(0.0)?.to_dtype(DType::F32)?)?;
        }
        let [dx, dweight, dbias] = applied.gradients(&dy)?;
        gradients.add_of(weight, dweight)?;
        gradients.add_of(bias, dbias)?;
        gradients.add(place, dx)?;
        shortcut.map_or(Ok(()), |shortcut| gradients.add(shortcut, dy))
    });
    Ok((y, seen))
}

/// One application, for its gradient.
struct Applied {
    groups: Groups,
    /// x − mean (N, C, H, W).
    centred: Tensor,
    /// 1 / √(variance + ε), (G, C).
    inverse: Tensor,
    /// weight · inverse at every image (N, C, 1, 1).
    scale: Tensor,
    /// Places of an image.
    area: usize,
}

impl Applied {
    /// Of x, weight and bias.
    fn gradients(&self, dy: &Tensor) -> Result<[Tensor; 3]> {
        let Self { groups, centred, inverse, scale, area } = self;
        let total = dy.sum((2, 3))?;
        let along = (dy * centred)?.sum((2, 3))?;
        let dweight = (groups.sum(&along)? * inverse)?.sum(0)?;
        let dbias = total.sum(0)?;
        let level = groups.at_images(&(groups.mean(&total)? / *area as f64)?)?;
        let slope = groups.at_images(&((groups.mean(&along)? * inverse.sqr()?)? / *area as f64)?)?;
        let off = centred.broadcast_mul(&slope)?.broadcast_add(&level)?;
        Ok([(dy - off)?.broadcast_mul(scale)?, dweight, dbias])
    }
}

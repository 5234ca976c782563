//! Activations: a batch of maps with channels last, in a buffer that goes back to the pool.

use candle_core::{Result, Tensor, bail};
use rayon::prelude::*;

use super::scratch::Scratch;
use super::storage::{tensor, with_numbers};

/// Sizes of one image's activations (H, W, C).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Maps {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
}

impl Maps {
    /// Places of one image.
    pub fn area(&self) -> usize {
        self.height * self.width
    }

    /// Numbers of one image.
    pub fn size(&self) -> usize {
        self.area() * self.channels
    }

    /// Where the channels of a place begin, if it lies inside.
    #[inline(always)]
    pub fn place(&self, row: isize, column: isize) -> Option<usize> {
        let inside = (0..self.height as isize).contains(&row) && (0..self.width as isize).contains(&column);
        inside.then(|| (row as usize * self.width + column as usize) * self.channels)
    }
}

/// A batch of images' maps, (N, H, W, C).
pub struct Activations {
    pub images: usize,
    pub maps: Maps,
    numbers: Scratch,
}

impl Activations {
    /// From numbers in that order.
    pub fn new(images: usize, maps: Maps, numbers: Scratch) -> Result<Self> {
        if numbers.len() != images * maps.size() {
            bail!("{} numbers for {images} images of {maps:?}", numbers.len());
        }
        Ok(Self { images, maps, numbers })
    }

    /// Views (n, C, H, W) put one behind the other, their planes turned into channels.
    pub fn from_views(views: &[&Tensor]) -> Result<Self> {
        let Some(first) = views.first() else { bail!("no views") };
        let (_, channels, height, width) = first.dims4()?;
        let maps = Maps { height, width, channels };
        let mut images = 0;
        for view in views {
            let (count, found_channels, found_height, found_width) = view.dims4()?;
            if (found_channels, found_height, found_width) != (channels, height, width) {
                bail!("views of {:?} and {:?}", first.shape(), view.shape());
            }
            images += count;
        }
        let mut numbers = Scratch::take(images * maps.size());
        let mut rest = &mut *numbers;
        for view in views {
            let (here, later) = rest.split_at_mut(view.elem_count());
            with_numbers(view, |planes| {
                let images = here.par_chunks_mut(maps.size().max(1)).zip(planes.par_chunks(maps.size().max(1)));
                images.for_each(|(image, planes)| interleave(maps, planes, image));
                Ok(())
            })?;
            rest = later;
        }
        Self::new(images, maps, numbers)
    }

    /// The numbers, image by image, place by place.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers
    }

    /// The buffer itself.
    pub fn into_numbers(self) -> Scratch {
        self.numbers
    }

    /// A copy as a tensor with one row per image.
    pub fn rows(&self) -> Result<Tensor> {
        tensor(self.numbers.to_vec(), (self.images, self.maps.size()))
    }
}

/// Planes (C, H·W) to places (H·W, C).
fn interleave(maps: Maps, planes: &[f32], image: &mut [f32]) {
    for (channel, plane) in planes.chunks_exact(maps.area()).enumerate() {
        for (place, value) in image[channel..].iter_mut().step_by(maps.channels).zip(plane) {
            *place = *value;
        }
    }
}

//! Global average pooling: from maps to one row of features per image.

use candle_core::Result;

use super::maps::{Activations, Maps};
use super::scratch::Scratch;
use super::tape::{Gradients, Node, Place, Record, Tape};

/// x (N, H, W, C) → (N, 1, 1, C).
pub fn global_average_pool(tape: &mut Tape, x: &Node) -> Result<Node> {
    let y = forward(x.value())?;
    let record = AveragePool { x: x.place(), images: y.images, maps: x.value().maps };
    Ok(tape.result(y.into(), record))
}

/// The same without a gradient.
pub fn forward(x: &Activations) -> Result<Activations> {
    let channels = x.maps.channels;
    let mut y = Scratch::zeros(x.images * channels);
    let share = 1.0 / x.maps.area() as f32;
    for (y, image) in y.chunks_exact_mut(channels).zip(x.numbers().chunks_exact(x.maps.size())) {
        for place in image.chunks_exact(channels) {
            y.iter_mut().zip(place).for_each(|(sum, value)| *sum += value);
        }
        y.iter_mut().for_each(|sum| *sum *= share);
    }
    Activations::new(x.images, Maps { height: 1, width: 1, channels }, y)
}

struct AveragePool {
    x: Place,
    images: usize,
    maps: Maps,
}

impl Record for AveragePool {
    fn backward(self: Box<Self>, dy: Scratch, gradients: &mut Gradients) -> Result<()> {
        let channels = self.maps.channels;
        let mut dx = Scratch::take(self.images * self.maps.size());
        let share = 1.0 / self.maps.area() as f32;
        for (image, dy) in dx.chunks_exact_mut(self.maps.size()).zip(dy.chunks_exact(channels)) {
            for place in image.chunks_exact_mut(channels) {
                place.iter_mut().zip(dy).for_each(|(to, from)| *to = from * share);
            }
        }
        gradients.add(self.x, dx);
        Ok(())
    }
}

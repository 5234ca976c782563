//! Convolution without bias, its gradients made of convolutions again: wherever candle has those as matrix products (on
//! CUDA, Metal and the CPU alike), so are these. candle's own gradient of the input is a loop over single products.

use candle_core::{Result, Tensor};

use super::tape::{Node, Tape};

/// Convolution with gradients. x (N, C, H, W), weight (O, C, k, k) → (N, O, H', W').
pub fn convolution(tape: &mut Tape, x: &Node, weight: &Tensor, stride: usize, padding: usize) -> Result<Node> {
    let (parameter, weight, x) = (weight.id(), weight.detach(), x.clone());
    let y = x.value().conv2d(&weight, padding, stride, 1, 1)?;
    Ok(tape.result(y, move |dy, gradients| {
        gradients.add_of(parameter, weight_gradient(x.value(), &weight, &dy, stride, padding)?)?;
        // Images at the network's entrance need no gradient.
        if x.place().is_some() {
            gradients.add(x.place(), input_gradient(x.value(), &weight, &dy, stride, padding)?)?;
        }
        Ok(())
    }))
}

/// Images and channels change places: x (C, N, H, W) filtered by dy (O, N, H', W'), whose places lie `stride` apart.
fn weight_gradient(x: &Tensor, weight: &Tensor, dy: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let (_, _, height, width) = weight.dims4()?;
    let sums = x.transpose(0, 1)?.conv2d(&dy.transpose(0, 1)?, padding, 1, stride, 1)?;
    // What a stride leaves over at the far edges shows as further rows and columns.
    sums.narrow(2, 0, height)?.narrow(3, 0, width)?.transpose(0, 1)?.contiguous()
}

/// dy, spread out by the stride, filtered by the weight turned half round with inputs and outputs exchanged.
fn input_gradient(x: &Tensor, weight: &Tensor, dy: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let (_, _, height, width) = x.dims4()?;
    let (outputs, channels, side, _) = weight.dims4()?;
    let turned = weight.transpose(0, 1)?.reshape((channels, outputs, side * side))?;
    let order = Tensor::from_vec((0..(side * side) as u32).rev().collect(), side * side, weight.device())?;
    let turned = turned.index_select(&order, 2)?.reshape((channels, outputs, side, side))?;
    let dx = spread(dy, stride)?.conv2d(&turned, side - 1 - padding, 1, 1, 1)?;
    dx.narrow(2, 0, height)?.narrow(3, 0, width)?.contiguous()
}

/// (N, C, H, W) → (N, C, H·s, W·s) with s − 1 zeros behind every place.
fn spread(maps: &Tensor, stride: usize) -> Result<Tensor> {
    if stride == 1 {
        return Ok(maps.clone());
    }
    let (images, channels, height, width) = maps.dims4()?;
    let places = maps.reshape((images, channels, height, 1, width, 1))?;
    let places = places.pad_with_zeros(3, 0, stride - 1)?.pad_with_zeros(5, 0, stride - 1)?;
    places.reshape((images, channels, height * stride, width * stride))
}

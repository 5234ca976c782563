//! Operators of the network's body, applied one at a time: values and gradients as plain numbers.

use candle_core::{Result, Tensor, Var};
use marginalia_trainer::engine::maps::{Activations, Maps};
use marginalia_trainer::engine::scratch::Scratch;
use marginalia_trainer::engine::tape::{Node, Tape};

/// An operator of the body: from its operands (each as a tensor, and as a value of the tape where it is of rank 4).
pub type Body<'a> = &'a dyn Fn(&mut Tape, &[Operand]) -> Result<Node>;

pub struct Operand {
    pub tensor: Tensor,
    value: Option<Node>,
}

impl Operand {
    pub fn value(&self) -> &Node {
        self.value.as_ref().expect("rank 4")
    }
}

/// What an operator gave: its result, and the gradient of Σ result · dy with respect to every operand.
pub struct Applied {
    pub result: Vec<f32>,
    pub gradients: Vec<Option<Vec<f32>>>,
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

/// A tensor (N, H, W, C) as the body takes it.
pub fn activations(tensor: &Tensor) -> Activations {
    let (images, height, width, channels) = tensor.dims4().unwrap();
    Activations::new(images, Maps { height, width, channels }, Scratch::of(&values(tensor))).unwrap()
}

/// Applies an operator of the body; `dy` gives the factors of the results from their number.
pub fn body(f: Body, inputs: &[Tensor], dy: impl Fn(usize) -> Vec<f32>) -> Applied {
    let mut tape = Tape::default();
    let operands: Vec<Operand> = inputs
        .iter()
        .map(|tensor| {
            let value = (tensor.rank() == 4).then(|| tape.variable(activations(tensor)));
            Operand { tensor: tensor.clone(), value }
        })
        .collect();
    let y = f(&mut tape, &operands).unwrap();
    let result = y.value().numbers().to_vec();
    let dy = Scratch::of(&dy(result.len()));
    let gradients = tape.backward(y, dy).unwrap();
    let gradient = |operand: &Operand| {
        let of_value = operand.value.as_ref().and_then(|value| gradients.of_variable(value));
        of_value.or_else(|| gradients.of(&operand.tensor)).map(<[f32]>::to_vec)
    };
    Applied { result, gradients: operands.iter().map(gradient).collect() }
}

/// The same for an operator of candle's.
pub fn candle(f: &dyn Fn(&[Tensor]) -> Result<Tensor>, inputs: &[Tensor], dy: impl Fn(usize) -> Vec<f32>) -> Applied {
    let variables: Vec<Var> = inputs.iter().map(|input| Var::from_tensor(input).unwrap()).collect();
    let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
    let y = f(&tensors).unwrap();
    let weights = Tensor::from_vec(dy(y.elem_count()), y.dims(), y.device()).unwrap();
    let gradients = (&y * weights).unwrap().sum_all().unwrap().backward().unwrap();
    Applied { result: values(&y), gradients: variables.iter().map(|x| gradients.get(x).map(values)).collect() }
}

//! What a network did to a batch, operator by operator, so that it can be gone through backwards.
//!
//! candle's autograd serves the head and the losses, whose tensors are small. Through the body it would cost as much as
//! the arithmetic of a small network: every gradient is added to fresh zeros in a third buffer. Here the first part of
//! a gradient is moved in, the kernels add further ones in place, and a buffer goes back to the pool once last read.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{Result, Tensor, TensorId, bail};

use super::maps::Activations;
use super::scratch::Scratch;

/// A value on its way through a network.
#[derive(Clone)]
pub struct Node {
    value: Arc<Activations>,
    place: Place,
}

/// A value's place on the tape; `None` where no gradient is wanted.
pub(crate) type Place = Option<usize>;

impl Node {
    /// A value that takes no gradient.
    pub fn constant(value: Activations) -> Self {
        Self { value: Arc::new(value), place: None }
    }

    /// The numbers and their shape.
    pub fn value(&self) -> &Activations {
        &self.value
    }

    /// Place and buffer, which is copied only where somebody else still reads it.
    pub(crate) fn into_parts(self) -> (Place, Scratch) {
        let numbers = match Arc::try_unwrap(self.value) {
            Ok(value) => value.into_numbers(),
            Err(shared) => Scratch::of(shared.numbers()),
        };
        (self.place, numbers)
    }

    /// Where its gradient goes.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

/// One operator's application: what its gradient needs.
pub(crate) trait Record: Send + Sync {
    /// From the gradient of the result to those of the operands.
    fn backward(self: Box<Self>, dy: Scratch, gradients: &mut Gradients) -> Result<()>;
}

/// The operators in the order they were applied.
#[derive(Default)]
pub struct Tape {
    /// By place; `None` for a variable.
    records: Vec<Option<Box<dyn Record>>>,
}

impl Tape {
    /// A value whose gradient will be asked for.
    pub fn variable(&mut self, value: Activations) -> Node {
        self.records.push(None);
        Node { value: Arc::new(value), place: Some(self.records.len() - 1) }
    }

    /// The result of an operator.
    pub(crate) fn result(&mut self, value: Arc<Activations>, record: impl Record + 'static) -> Node {
        self.records.push(Some(Box::new(record)));
        Node { value, place: Some(self.records.len() - 1) }
    }

    /// All gradients of Σ y · dy, with `dy` in the order of `y`'s numbers.
    pub fn backward(self, y: Node, dy: Scratch) -> Result<Gradients> {
        let mut gradients = Gradients::default();
        gradients.values.resize_with(self.records.len(), || None);
        if dy.len() != y.value.numbers().len() {
            bail!("a gradient of {} numbers for {}", dy.len(), y.value.numbers().len());
        }
        gradients.add(y.place, dy);
        drop(y);
        for (place, record) in self.records.into_iter().enumerate().rev() {
            let Some(record) = record else { continue };
            if let Some(dy) = gradients.values[place].take() {
                record.backward(dy, &mut gradients)?;
            }
        }
        Ok(gradients)
    }
}

/// Gradients of variables and parameters.
#[derive(Default)]
pub struct Gradients {
    /// By place on the tape.
    values: Vec<Option<Scratch>>,
    parameters: HashMap<TensorId, Scratch>,
}

impl Gradients {
    /// Of a parameter; `None` where no part of the loss reached it.
    pub fn of(&self, parameter: &Tensor) -> Option<&[f32]> {
        self.parameters.get(&parameter.id()).map(|gradient| &**gradient)
    }

    /// Of a variable of the tape.
    pub fn of_variable(&self, variable: &Node) -> Option<&[f32]> {
        self.values.get(variable.place?)?.as_deref()
    }

    /// Adds to a parameter's gradient.
    pub(crate) fn add_of(&mut self, parameter: &Tensor, gradient: Scratch) {
        match self.parameters.get_mut(&parameter.id()) {
            Some(sum) => add(sum, &gradient),
            None => {
                self.parameters.insert(parameter.id(), gradient);
            }
        }
    }

    /// Adds the parameters' gradients of another pass.
    pub(crate) fn add_parameters(&mut self, other: Self) {
        for (parameter, gradient) in other.parameters {
            match self.parameters.get_mut(&parameter) {
                Some(sum) => add(sum, &gradient),
                None => {
                    self.parameters.insert(parameter, gradient);
                }
            }
        }
    }

    /// Adds to a value's gradient.
    pub(crate) fn add(&mut self, place: Place, gradient: Scratch) {
        let Some(place) = place else { return };
        match &mut self.values[place] {
            Some(sum) => add(sum, &gradient),
            empty => *empty = Some(gradient),
        }
    }

    /// A value's gradient, for kernels that add to it; `None` where none is wanted.
    pub(crate) fn sum_of(&mut self, value: &Node) -> Option<&mut [f32]> {
        let length = value.value.numbers().len();
        Some(self.values[value.place?].get_or_insert_with(|| Scratch::zeros(length)))
    }
}

fn add(sum: &mut [f32], gradient: &[f32]) {
    sum.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
}

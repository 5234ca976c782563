//! What a network did to a batch on a device, operator by operator: the engine's tape ([`crate::engine::tape`]) over
//! candle's tensors.

use std::collections::HashMap;

use candle_core::{Result, Tensor, TensorId, bail};

/// A value on its way through a network, without history of candle's.
#[derive(Clone)]
pub struct Node {
    value: Tensor,
    place: Place,
}

/// A value's place on the tape; `None` where no gradient is wanted.
pub(crate) type Place = Option<usize>;

impl Node {
    /// A value that takes no gradient.
    pub fn constant(value: Tensor) -> Self {
        Self { value: value.detach(), place: None }
    }

    /// The numbers.
    pub fn value(&self) -> &Tensor {
        &self.value
    }

    /// Where its gradient goes.
    pub(crate) fn place(&self) -> Place {
        self.place
    }
}

/// From the gradient of a result to those of the operands.
type Backward = Box<dyn FnOnce(Tensor, &mut Gradients) -> Result<()> + Send + Sync>;

/// The operators in the order they were applied.
#[derive(Default)]
pub struct Tape {
    /// By place; `None` for a variable.
    records: Vec<Option<Backward>>,
}

impl Tape {
    /// A value whose gradient will be asked for.
    pub fn variable(&mut self, value: Tensor) -> Node {
        self.records.push(None);
        Node { value: value.detach(), place: Some(self.records.len() - 1) }
    }

    /// The result of an operator.
    pub(crate) fn result(
        &mut self,
        value: Tensor,
        backward: impl FnOnce(Tensor, &mut Gradients) -> Result<()> + Send + Sync + 'static,
    ) -> Node {
        self.records.push(Some(Box::new(backward)));
        Node { value, place: Some(self.records.len() - 1) }
    }

    /// All gradients of Σ y · dy.
    pub fn backward(self, y: &Node, dy: &Tensor) -> Result<Gradients> {
        if dy.shape() != y.value.shape() {
            bail!("a gradient of shape {:?} for {:?}", dy.shape(), y.value.shape());
        }
        let mut gradients = Gradients { values: vec![None; self.records.len()], ..Gradients::default() };
        gradients.add(y.place, dy.detach())?;
        for (place, record) in self.records.into_iter().enumerate().rev() {
            let Some(record) = record else { continue };
            if let Some(dy) = gradients.values[place].take() {
                record(dy, &mut gradients)?;
            }
        }
        Ok(gradients)
    }
}

/// Gradients of variables and parameters.
#[derive(Default)]
pub struct Gradients {
    /// By place on the tape.
    values: Vec<Option<Tensor>>,
    parameters: HashMap<TensorId, Tensor>,
}

impl Gradients {
    /// Of a parameter; `None` where no part of the loss reached it.
    pub fn of(&self, parameter: &Tensor) -> Option<&Tensor> {
        self.parameters.get(&parameter.id())
    }

    /// Of a variable of the tape.
    pub fn of_variable(&self, variable: &Node) -> Option<&Tensor> {
        self.values.get(variable.place?)?.as_ref()
    }

    /// Adds to a parameter's gradient.
    pub(crate) fn add_of(&mut self, parameter: TensorId, gradient: Tensor) -> Result<()> {
        let sum = match self.parameters.remove(&parameter) {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        };
        self.parameters.insert(parameter, sum);
        Ok(())
    }

    /// Adds the parameters' gradients of another pass.
    pub(crate) fn add_parameters(&mut self, other: Self) -> Result<()> {
        other.parameters.into_iter().try_for_each(|(parameter, gradient)| self.add_of(parameter, gradient))
    }

    /// Adds to a value's gradient.
    pub(crate) fn add(&mut self, place: Place, gradient: Tensor) -> Result<()> {
        let Some(place) = place else { return Ok(()) };
        let sum = match self.values[place].take() {
            Some(sum) => (sum + gradient)?,
            None => gradient,
        };
        self.values[place] = Some(sum);
        Ok(())
    }
}

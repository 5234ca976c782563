//! What a method may do with the student during one step: send views through it, and draw what it draws.

use candle_core::Tensor;

use super::{Outputs, Student};
use crate::Result;
use crate::config::BatchNormOver;
use crate::mixing::Mixing;
use crate::streams::{Purpose, Stream, Streams};

/// One step's access to the student. Views are (n, channels, S, S) each; the answer has one [`Outputs`] per view.
pub trait Pass {
    /// Sends views through in train mode, as one batch; BatchNorm's running statistics move.
    fn forward(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>>;

    /// The same with running statistics left as they are: for views that the teacher should not be shaped by.
    fn forward_aside(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>>;

    /// What the student says in train mode, to guess labels by: no gradient arrives, running statistics stay.
    fn predict(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>>;

    /// Logits (n, A) of the head that the method has for itself
    /// ([`Method::auxiliary`](crate::methods::Method::auxiliary)), from features (n, D).
    fn auxiliary(&mut self, features: &Tensor) -> Result<Tensor>;

    /// Draws how so many rows are mixed.
    fn mixing(&mut self, alpha: f64, rows: usize) -> Mixing;

    /// Draws a number of quarter turns, 0 to 3, for each of so many rows.
    fn quarter_turns(&mut self, rows: usize) -> Vec<u32>;
}

/// The real one.
pub(crate) struct StudentPass<'a> {
    pub student: &'a mut Student,
    pub dropout: f64,
    pub batch_norm: BatchNormOver,
    pub streams: Streams,
    pub epoch: u32,
    pub step: u32,
    /// Forward passes and streams handed out so far in this step.
    pub calls: u64,
}

impl StudentPass<'_> {
    fn stream(&mut self, purpose: Purpose) -> Stream {
        let stream = self.streams.stream(self.epoch, self.step, purpose, self.calls);
        self.calls += 1;
        stream
    }
}

impl Pass for StudentPass<'_> {
    fn forward(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>> {
        let mut stream = self.stream(Purpose::Dropout);
        self.student.forward(views, self.batch_norm, self.dropout, &mut stream)
    }

    fn forward_aside(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>> {
        let mut stream = self.stream(Purpose::Dropout);
        self.student.forward_aside(views, self.batch_norm, self.dropout, &mut stream)
    }

    fn predict(&mut self, views: &[&Tensor]) -> Result<Vec<Outputs>> {
        let mut stream = self.stream(Purpose::Dropout);
        self.student.predict(views, self.batch_norm, self.dropout, &mut stream)
    }

    fn auxiliary(&mut self, features: &Tensor) -> Result<Tensor> {
        self.student.auxiliary(features)
    }

    fn mixing(&mut self, alpha: f64, rows: usize) -> Mixing {
        Mixing::draw(alpha, rows, &mut self.stream(Purpose::Method))
    }

    fn quarter_turns(&mut self, rows: usize) -> Vec<u32> {
        let mut stream = self.stream(Purpose::Method);
        (0..rows).map(|_| stream.below(4) as u32).collect()
    }
}

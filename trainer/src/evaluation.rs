//! Faces through a network in eval mode, in chunks: class confidences of S, metrics of held-out faces.

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::inference::Inference;
use crate::loader::{FaceSource, LabelledFace, decode_face, fetch, plain_planes, weak_planes};
use crate::margin::softmax_rows;
use crate::streams::{Purpose, Streams};
use crate::training::Control;
use crate::views::pixels::Input;
use crate::{Error, Result};

/// How evaluated faces are shown to the network.
#[derive(Clone, Copy, Debug)]
pub enum EvaluatedView {
    /// Resized, nothing else.
    Plain,
    /// One weak view, drawn per (epoch, position).
    Weak { streams: Streams, epoch: u32 },
}

/// What the network thinks of labelled faces.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// One row per decodable face.
    pub probabilities: Vec<Vec<f64>>,
    /// Its class.
    pub labels: Vec<usize>,
    /// Ids of faces that could not be decoded.
    pub undecodable: Vec<String>,
}

/// What an evaluation needs besides faces.
pub(crate) struct Evaluation<'a> {
    pub inference: &'a Inference,
    pub pool: &'a ThreadPool,
    pub input: Input,
    pub batch: usize,
    pub control: &'a Control,
}

impl Evaluation<'_> {
    /// Predicts every face of `faces`, in order.
    pub fn predict(&self, source: &dyn FaceSource, faces: &[LabelledFace], view: EvaluatedView) -> Result<Predictions> {
        let mut predictions = Predictions::default();
        for (chunk, faces) in faces.chunks(self.batch).enumerate() {
            if self.control.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let indices: Vec<u64> = faces.iter().map(|face| face.index).collect();
            let images = fetch(source, &indices)?;
            let first = chunk * self.batch;
            self.pool.install(|| self.predict_chunk(first, faces, &images, view, &mut predictions))?;
        }
        Ok(predictions)
    }

    fn predict_chunk(
        &self,
        first: usize,
        faces: &[LabelledFace],
        images: &[Vec<u8>],
        view: EvaluatedView,
        predictions: &mut Predictions,
    ) -> Result<()> {
        let planes = |(place, image): (usize, &Vec<u8>)| {
            let face = decode_face(image, self.input)?;
            Some(match view {
                EvaluatedView::Plain => plain_planes(&face, self.input),
                EvaluatedView::Weak { streams, epoch } => {
                    let item = (first + place) as u64;
                    weak_planes(&face, self.input, &mut streams.stream(epoch, 0, Purpose::Measurement, item))
                }
            })
        };
        let planes: Vec<Option<Vec<f32>>> = images.par_iter().enumerate().map(planes).collect();
        let (mut numbers, mut count) = (Vec::new(), 0);
        for (face, planes) in faces.iter().zip(planes) {
            match planes {
                Some(planes) => {
                    numbers.extend(planes);
                    count += 1;
                    predictions.labels.push(face.class);
                }
                None => predictions.undecodable.push(face.face_id.clone()),
            }
        }
        if count > 0 {
            let outputs = self.inference.forward(&self.input.tensor(numbers, count)?)?;
            predictions.probabilities.extend(softmax_rows(&outputs.logits)?);
        }
        Ok(())
    }
}

//! The simulated annotator: answers the queue from the hidden truth, in the queue's order.

use marginalia_labeling_ui::{Answer, Judge, Judgement, Origin, queue};

use crate::console::Opened;
use crate::error::Result;
use crate::precision::truth;

/// Knows the truth and answers with it.
pub struct Annotator<'a> {
    opened: &'a Opened,
}

impl<'a> Annotator<'a> {
    /// An annotator for a corpus.
    pub fn new(opened: &'a Opened) -> Self {
        Self { opened }
    }

    /// Judges the first `count` faces of the queue that have a truth, all at once; returns how many there were.
    pub async fn answer(&self, count: usize) -> Result<usize> {
        let session = self.opened.session().await?;
        let truth = truth(session.snapshot()).await?;
        let mut judgements = Vec::new();
        // Faces with contradicting labels have no truth and stay where they are.
        for task in queue(&session, 2 * count).await? {
            if judgements.len() == count {
                break;
            }
            let Some(class) = truth.get(&task.face_id) else { continue };
            let lane = task.lane();
            let answer = Answer::Expression(class.clone());
            let mut judgement = Judgement::new(task.face_id, answer, "simulated", Origin::Simulated, lane);
            judgement.round = task.round;
            // A blind lane shows no suggestion, so none was taken.
            judgement.suggestion = task.expression.filter(|_| !lane.is_blind());
            judgements.push(judgement);
        }
        Ok(Judge::new(&self.opened.corpus).submit(judgements).await?.len())
    }
}

//! The steps of one epoch, one after the other, with their batches loaded ahead.
//!
//! In: a round's faces, a learner and a method. Out: moved weights, a report per step and what all steps did together.
//! A step whose numbers are not finite ends it with an error that names its faces.

use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::time::Instant;

use rayon::ThreadPool;

use crate::config::TrainerConfig;
use crate::health::not_finite_in_student;
use crate::learner::Learner;
use crate::loader::{Loaded, Loader, RoundData};
use crate::methods::Method;
use crate::report::{StepReport, Tally};
use crate::streams::Streams;
use crate::training::Control;
use crate::{Error, Result};

/// What an epoch's steps go by.
pub(crate) struct Steps<'a> {
    pub config: &'a TrainerConfig,
    pub classes: usize,
    pub data: &'a RoundData,
    pub streams: Streams,
    /// From 1; 0 = the warm start before.
    pub epoch: u32,
    pub pool: &'a ThreadPool,
    pub control: &'a Control,
    /// The folder last saved to, or started from.
    pub last_good: Option<&'a Path>,
}

impl Steps<'_> {
    /// Takes them all.
    pub fn run(
        &self,
        learner: &mut Learner,
        method: &mut dyn Method,
        observe: &mut dyn FnMut(StepReport),
    ) -> Result<Tally> {
        let Self { config, classes, data, streams, epoch, .. } = *self;
        let (steps, views) = (config.steps_per_epoch, method.views());
        let mut tally = Tally::new(classes);
        std::thread::scope(|scope| {
            let (sender, receiver) = sync_channel(config.prefetch);
            let loader = scope.spawn(move || Loader { data, config, classes, streams, views, epoch }.run(sender));
            let mut take_step = |step| {
                let started = Instant::now();
                if self.control.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                let Loaded { batch, faces, undecodable } = receiver.recv().map_err(|_| Error::LoaderEnded)??;
                let waiting = started.elapsed().as_secs_f64();
                undecodable.into_iter().for_each(|face_id| tally.add_undecodable(face_id));
                let last_good = || self.last_good.map(Path::to_owned);
                let stop = |what| Error::NotFinite { what, epoch, step, faces, last_good: last_good() };
                let loss = match self.pool.install(|| learner.step(method, &batch, streams, epoch, step)) {
                    Err(Error::Diverged { loss, .. }) => return Err(stop(format!("the loss became {loss}"))),
                    other => other?,
                };
                if let Some(name) = self.pool.install(|| not_finite_in_student(learner))? {
                    return Err(stop(format!("the gradient left `{name}` without finite numbers")));
                }
                let seconds = started.elapsed().as_secs_f64();
                observe(tally.add_step(&loss, StepReport::at(epoch, step, steps, seconds, waiting))?);
                Ok(())
            };
            let done = (1..=steps).try_for_each(&mut take_step);
            // A loader that still waits to hand over a batch ends when nobody listens any more.
            drop(receiver);
            done.and(loader.join().map_err(|_| Error::LoaderEnded))
        })?;
        Ok(tally)
    }
}

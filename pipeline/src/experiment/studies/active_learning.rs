//! Active learning: which faces to label next. Every arm is an order of the queue, run through the real loop.

use marginalia_trainer::TrainerConfig;

use super::{Kind, Study};
use crate::config::CurriculumConfig;
use crate::curriculum::orders::ORDERS;
use crate::experiment::arm::Arm;

pub(super) const STUDY: Study = Study {
    name: "active-learning",
    about: "orders of the queue: which faces to label next, by a simulated annotator through the real loop",
    arms,
    usual: || std::iter::once(DEFAULT).chain(ORDERS.iter().map(|(name, _)| *name)).collect(),
    reference: "random",
    kind: Kind::Simulation,
};

/// The queue that `init` writes.
const DEFAULT: &str = "default";

fn arms(base: &TrainerConfig) -> Vec<Arm> {
    let method = base.method.clone();
    let arm =
        |name: &str, queue: String| Arm { name: name.to_owned(), queue: Some(queue), ..Arm::of_method(&method, base) };
    let default = arm(DEFAULT, CurriculumConfig::default().queue);
    std::iter::once(default).chain(ORDERS.iter().map(|(name, _)| arm(name, (*name).to_owned()))).collect()
}

//! Table 1 of the report: the methods beside each other, each on the test split of its own data set.

use marginalia_trainer::TrainerConfig;
use marginalia_trainer::methods::REGISTRY;

use super::{Kind, Study};
use crate::experiment::arm::Arm;

pub(super) const STUDY: Study = Study {
    name: "table1",
    about: "methods beside each other, each on its data set's own test split",
    arms: methods,
    usual: six,
    reference: "ada-cm",
    kind: Kind::Training,
};

/// Every method there is.
pub(super) fn methods(base: &TrainerConfig) -> Vec<Arm> {
    REGISTRY.iter().map(|(name, _)| Arm::of_method(name, base)).collect()
}

/// The six of the report; its baseline is `supervised`.
pub(super) fn six() -> Vec<&'static str> {
    vec!["supervised", "pseudo-label", "mixmatch", "remixmatch", "fixmatch", "ada-cm"]
}

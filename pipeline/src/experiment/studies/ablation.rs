//! The ablations: Ada-CM with one thing changed. The first ones are the report's, those from `no-ema-warm-up` on are the
//! settings that the `streaming` preset brought, those from `margin-per-step` on go beyond both.
//!
//! Eq. 6, 7 and 8 stand without the floor alone: their factors never reach it, so with it they are `fixed-0.8`. `warm-start`
//! makes as many steps again as the training after it; `twice-the-epochs` says what those steps are worth without it.

use marginalia_trainer::{
    AlignmentTarget, BatchNormOver, MarginFaces, MarginUpdate, Schedule, TrainerConfig, UnlabelledOver,
};

use super::{Kind, Study};
use crate::experiment::arm::Arm;

pub(super) const STUDY: Study = Study {
    name: "ablation",
    about: "Ada-CM with one thing changed at a time",
    arms,
    usual: || CHANGES.iter().map(|(name, _)| *name).collect(),
    reference: "ada-cm",
    kind: Kind::Training,
};

/// The floor of the released code.
const FLOOR: f64 = 0.8;

/// A name, and what it changes.
type Change = (&'static str, fn(&mut Arm));

const CHANGES: &[Change] = &[
    ("ada-cm", |_| {}),
    ("k-weak-3", |arm| arm.config.k_weak = 3),
    ("k-strong-2", |arm| arm.config.k_strong = 2),
    ("eq2", |arm| schedule(arm, Schedule::Eq2, 0.0)),
    ("eq2-floor", |arm| schedule(arm, Schedule::Eq2, FLOOR)),
    ("eq6", |arm| schedule(arm, Schedule::Eq6, 0.0)),
    ("eq7", |arm| schedule(arm, Schedule::Eq7, 0.0)),
    ("eq8", |arm| schedule(arm, Schedule::Eq8, 0.0)),
    ("fixed-0.95", |arm| fixed(arm, 0.95)),
    ("fixed-0.8", |arm| fixed(arm, 0.8)),
    ("all-predicted", |arm| arm.config.margin.faces = MarginFaces::Predicted),
    ("generated-quarter", |arm| arm.generated = 0.25),
    ("generated-half", |arm| arm.generated = 0.5),
    ("no-contrastive", |arm| arm.config.weights.contrastive = 0.0),
    ("unlabelled-over-subset", |arm| arm.config.unlabelled_over = UnlabelledOver::Subset),
    ("no-weak-gradient", |arm| arm.config.ada_cm.weak_gradient = false),
    ("batch-norm-over-batch", |arm| arm.config.batch_norm = BatchNormOver::Batch),
    ("no-ema-warm-up", |arm| arm.config.ema_warmup = false),
    ("feature-scale-1", |arm| arm.config.feature_scale = 1.0),
    ("floor-0.4", |arm| arm.config.margin.floor = 0.4),
    ("floor-0.6", |arm| arm.config.margin.floor = 0.6),
    ("no-streaming", no_streaming),
    ("margin-per-step", |arm| arm.config.margin.update = MarginUpdate::Step),
    ("set-valued", |arm| arm.config.weights.set_valued = 0.5),
    ("negative", |arm| arm.config.weights.negative = 0.1),
    ("aligned-uniform", |arm| arm.config.ada_cm.alignment = AlignmentTarget::Uniform),
    ("aligned-labelled", |arm| arm.config.ada_cm.alignment = AlignmentTarget::Labelled),
    ("aligned-stream", aligned_to_stream),
    ("soft-targets", |arm| arm.config.soft_targets = true),
    ("warm-start", |arm| arm.config.warm_start_steps = arm.config.epochs_per_round * arm.config.steps_per_epoch),
    ("twice-the-epochs", |arm| arm.config.epochs_per_round *= 2),
];

fn arms(base: &TrainerConfig) -> Vec<Arm> {
    let changed = |(name, change): &Change| {
        let mut arm = Arm { name: (*name).to_owned(), ..Arm::of_method("ada-cm", base) };
        change(&mut arm);
        arm
    };
    CHANGES.iter().map(changed).collect()
}

fn schedule(arm: &mut Arm, schedule: Schedule, floor: f64) {
    arm.config.margin.schedule = schedule;
    arm.config.margin.floor = floor;
}

fn fixed(arm: &mut Arm, margin: f64) {
    arm.config.margin.schedule = Schedule::Fixed;
    arm.config.margin.initial = margin;
}

/// All three settings of the preset at once.
fn no_streaming(arm: &mut Arm) {
    arm.config.ema_warmup = false;
    arm.config.feature_scale = 1.0;
    arm.config.margin.floor = FLOOR;
}

/// What the other targets of alignment guess at.
fn aligned_to_stream(arm: &mut Arm) {
    arm.config.ada_cm.alignment = AlignmentTarget::Shares;
    arm.true_shares = true;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Arms that come to the same as one before them.
    fn doubles(base: &TrainerConfig) -> Vec<String> {
        let arms = STUDY.wanted(base, &[]).unwrap();
        assert_eq!(arms.len(), CHANGES.len());
        let is_double = |(place, arm): &(usize, &Arm)| {
            arms[..*place].iter().any(|before| Arm { name: arm.name.clone(), ..before.clone() } == **arm)
        };
        arms.iter().enumerate().filter(is_double).map(|(_, arm)| arm.name.clone()).collect()
    }

    #[test]
    fn every_arm_changes_something_of_its_own() {
        // What a preset has already changes nothing under it.
        assert_eq!(doubles(&TrainerConfig::streaming()), ["eq2"]);
        let of_released = ["eq2-floor", "no-ema-warm-up", "feature-scale-1", "no-streaming"];
        assert_eq!(doubles(&TrainerConfig::released()), of_released);
    }
}

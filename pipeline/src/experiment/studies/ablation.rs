//! The ablations: Ada-CM with one thing changed. The first ones are the report's, those after `no-ema-warm-up` are the settings
//! that the `streaming` preset brought, the last ones go beyond both.

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
    ("eq2-floor", |arm| schedule(arm, Schedule::Eq2, FLOOR)),
    ("eq6", |arm| schedule(arm, Schedule::Eq6, 0.0)),
    ("eq6-floor", |arm| schedule(arm, Schedule::Eq6, FLOOR)),
    ("eq7", |arm| schedule(arm, Schedule::Eq7, 0.0)),
    ("eq7-floor", |arm| schedule(arm, Schedule::Eq7, FLOOR)),
    ("eq8", |arm| schedule(arm, Schedule::Eq8, 0.0)),
    ("eq8-floor", |arm| schedule(arm, Schedule::Eq8, FLOOR)),
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
    ("margin-per-step", |arm| arm.config.margin.update = MarginUpdate::Step),
    ("set-valued", |arm| arm.config.weights.set_valued = 0.5),
    ("negative", |arm| arm.config.weights.negative = 0.1),
    ("aligned-uniform", |arm| arm.config.ada_cm.alignment = AlignmentTarget::Uniform),
    ("aligned-labelled", |arm| arm.config.ada_cm.alignment = AlignmentTarget::Labelled),
    ("soft-targets", |arm| arm.config.soft_targets = true),
    ("warm-start", |arm| arm.config.warm_start_steps = arm.config.epochs_per_round * arm.config.steps_per_epoch),
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

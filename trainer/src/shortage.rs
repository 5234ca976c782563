//! What a round's faces are too few for: a round runs all the same, and says so.
//!
//! In: a round's faces and the class names. Out: one sentence per shortage, with what it does and what helps. Sets that
//! make a round impossible are errors instead ([`crate::Error::NoFaces`]).

use std::fmt;

use crate::loader::{LabelledFace, RoundData};

/// Something that a round lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Nobody has labelled a face of this class: it is not learnt, its margin stays at `margin.empty_class`, and it has
    /// no part in mean recall and macro-F1 unless it is predicted.
    NoLabel { class: String },
    /// One labelled face stands for the whole class.
    OneLabel { class: String },
    /// No validation faces: nothing is measured on faces the network has not seen, and no temperature is fitted.
    NoValidation,
    /// Validation faces, but none of this class, which is labelled: its recall is unknown.
    NotValidated { class: String },
}

/// The shortages of `data`, classes in order, validation last; empty where there are none.
pub fn shortages(data: &RoundData, classes: &[String]) -> Vec<Shortage> {
    let count = |faces: &[LabelledFace], class: usize| faces.iter().filter(|face| face.class == class).count();
    let mut shortages = Vec::new();
    for (number, class) in classes.iter().cloned().enumerate() {
        match count(&data.labelled, number) {
            0 => shortages.push(Shortage::NoLabel { class }),
            1 => shortages.push(Shortage::OneLabel { class }),
            _ => {}
        }
    }
    if data.validation.is_empty() {
        shortages.push(Shortage::NoValidation);
        return shortages;
    }
    let unmeasured = |number: &usize| count(&data.labelled, *number) > 0 && count(&data.validation, *number) == 0;
    let classes = (0..classes.len()).filter(unmeasured).map(|number| classes[number].clone());
    shortages.extend(classes.map(|class| Shortage::NotValidated { class }));
    shortages
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::NoLabel { class } => write!(
                f,
                "no face is labelled `{class}`: the network cannot learn it; label some, or leave the class out"
            ),
            Self::OneLabel { class } => write!(
                f,
                "only one face is labelled `{class}`: the network will learn that face by heart; label some more"
            ),
            Self::NoValidation => write!(
                f,
                "no faces are held out for validation: accuracy and calibration stay unknown; import some with \
                 `--hold-out`"
            ),
            Self::NotValidated { class } => {
                write!(f, "no face of class `{class}` is held out for validation: its recall stays unknown")
            }
        }
    }
}

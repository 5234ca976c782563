//! The gate: a checkpoint that loses too much on the validation split is kept, marked, and not used.

/// What the gate decided.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Whether the checkpoint is used.
    pub accepted: bool,
    /// Why, for people.
    pub reason: String,
}

/// Compares macro-F1 on the validation split (fractions) with that of the last accepted round.
pub fn decide(macro_f1: Option<f32>, previous: Option<f32>, allowed_loss: f64) -> Verdict {
    match (macro_f1, previous) {
        (None, _) => Verdict { accepted: true, reason: "no validation split: nothing to compare".to_owned() },
        (Some(now), None) => Verdict { accepted: true, reason: format!("first round measured: macro-F1 {now:.4}") },
        (Some(now), Some(before)) => {
            let loss = f64::from(before) - f64::from(now);
            let accepted = loss <= allowed_loss;
            let word = if accepted { "within" } else { "beyond" };
            let reason = format!(
                "macro-F1 {now:.4} after {before:.4}: a change of {:+.4}, {word} the allowed loss of {allowed_loss}",
                -loss
            );
            Verdict { accepted, reason }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::decide;

    #[test]
    fn a_loss_beyond_the_allowed_one_is_not_used() {
        assert!(decide(None, Some(0.9), 0.05).accepted);
        assert!(decide(Some(0.1), None, 0.05).accepted);
        assert!(decide(Some(0.46), Some(0.5), 0.05).accepted);
        assert!(!decide(Some(0.44), Some(0.5), 0.05).accepted);
        assert!(decide(Some(0.6), Some(0.5), 0.0).accepted);
    }
}

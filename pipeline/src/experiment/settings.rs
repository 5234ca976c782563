//! Which settings are not the usual ones.
//!
//! In: settings, and the usual ones. Out: the keys that differ, with their values, as `marginalia.toml` has them.

use marginalia_trainer::{Preset, TrainerConfig};
use serde_json::{Value, json};

use super::plan::Plan;
use super::studies::Kind;
use crate::config::RoundConfig;

/// The settings of a plan in a sentence; the seed is each run's own.
pub(super) fn in_words(plan: &Plan) -> String {
    let usual = TrainerConfig::preset(plan.train.preset);
    let train = TrainerConfig { seed: usual.seed, ..plan.train.clone() };
    let mut keys = Vec::new();
    differing("train", &json!(train), &json!(usual), &mut keys);
    if plan.study.kind == Kind::Simulation {
        differing("round", &json!(plan.simulation.round), &json!(RoundConfig::default()), &mut keys);
    }
    let preset = match plan.train.preset {
        Preset::Streaming => "streaming",
        Preset::Released => "released",
    };
    match keys.is_empty() {
        true => format!("Settings: preset `{preset}`."),
        false => format!("Settings: preset `{preset}`, but `{}`.", keys.join("`, `")),
    }
}

fn differing(key: &str, now: &Value, usual: &Value, keys: &mut Vec<String>) {
    match (now, usual) {
        (Value::Object(now), Value::Object(usual)) => {
            for (name, value) in now {
                differing(&format!("{key}.{name}"), value, usual.get(name).unwrap_or(&Value::Null), keys);
            }
        }
        _ if now != usual => keys.push(format!("{key} = {now}")),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_differ_are_written_as_in_the_config() {
        let usual = TrainerConfig::streaming();
        let mut changed = TrainerConfig { backbone: "resnet-tiny".to_owned(), ..usual.clone() };
        changed.margin.floor = 0.5;
        let mut keys = Vec::new();
        differing("train", &json!(changed), &json!(usual), &mut keys);
        keys.sort();
        assert_eq!(keys, ["train.backbone = \"resnet-tiny\"", "train.margin.floor = 0.5"]);
    }
}

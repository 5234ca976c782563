//! Presets, overlays and refusals.

use marginalia_trainer::{ChannelOrder, Error, Preset, TrainerConfig, backbones, methods};

#[test]
fn a_file_names_a_preset_and_only_what_differs() {
    let json = r#"{"preset": "released", "learning_rate": 0.001, "margin": {"floor": 0.5}}"#;
    let config: TrainerConfig = serde_json::from_str(json).unwrap();
    let released = TrainerConfig::released();
    assert_eq!(config.preset, Preset::Released);
    assert_eq!((config.learning_rate, config.margin.floor), (0.001, 0.5));
    assert_eq!((config.image_size, config.channel_order), (released.image_size, ChannelOrder::Bgr));
    assert_eq!(config.margin.beta, released.margin.beta);
    assert_eq!(serde_json::from_str::<TrainerConfig>("{}").unwrap(), TrainerConfig::default());
}

#[test]
fn a_configuration_survives_being_written_and_read() {
    for config in [TrainerConfig::released(), TrainerConfig::streaming()] {
        config.validate().unwrap();
        let text = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<TrainerConfig>(&text).unwrap(), config);
    }
}

#[test]
fn unknown_keys_and_values_are_refused_by_name() {
    for (json, word) in [
        (r#"{"learning_rat": 0.1}"#, "learning_rat"),
        (r#"{"margin": {"flor": 0.1}}"#, "flor"),
        (r#"{"preset": "fast"}"#, "fast"),
        (r#"{"channel_order": "gbr"}"#, "gbr"),
    ] {
        let error = serde_json::from_str::<TrainerConfig>(json).unwrap_err().to_string();
        assert!(error.contains(word), "{json}: {error}");
    }
}

#[test]
fn values_out_of_range_are_refused_with_key_and_range() {
    type Change = fn(&mut TrainerConfig);
    let changes: [(&str, Change); 31] = [
        ("learning_rate", |config| config.learning_rate = 0.0),
        ("learning_rate", |config| config.learning_rate = f64::NAN),
        ("ema_decay", |config| config.ema_decay = 1.0),
        ("batch_labelled", |config| config.batch_labelled = 1),
        ("image_size", |config| config.image_size = 8),
        ("warm_start_steps", |config| config.warm_start_steps = 1_000_001),
        ("warm_start_temperature", |config| config.warm_start_temperature = 0.0),
        ("margin.beta", |config| config.margin.beta = 1.5),
        ("margin.gamma", |config| config.margin.gamma = 1.0),
        ("weights.unlabelled", |config| config.weights.unlabelled = -1.0),
        ("dropout", |config| config.dropout = 1.0),
        ("k_weak", |config| config.k_weak = 0),
        ("weights.set_valued", |config| config.weights.set_valued = f64::INFINITY),
        ("weights.negative", |config| config.weights.negative = -0.5),
        ("ada_cm.set_mass", |config| config.ada_cm.set_mass = 1.1),
        ("ada_cm.set_size", |config| config.ada_cm.set_size = 0),
        ("ada_cm.negative_below", |config| config.ada_cm.negative_below = -0.1),
        ("threshold", |config| config.threshold = 1.5),
        ("ramp", |config| config.ramp = f64::NAN),
        ("moving_average.momentum", |config| config.moving_average.momentum = 1.0),
        ("moving_average.spans_per_round", |config| config.moving_average.spans_per_round = -1.0),
        ("alignment_shares", |config| config.alignment_shares = vec![0.5, 0.6]),
        ("mixmatch.alpha", |config| config.mixmatch.alpha = 0.0),
        ("mixmatch.temperature", |config| config.mixmatch.temperature = 0.0),
        ("margin_mix.margin", |config| config.margin_mix.margin = 5.0),
        ("remixmatch.ramp", |config| config.remixmatch.ramp = 2.0),
        ("remixmatch.rotation_weight", |config| config.remixmatch.rotation_weight = -1.0),
        ("uda.threshold", |config| config.uda.threshold = -0.1),
        ("uda.temperature", |config| config.uda.temperature = f64::NAN),
        ("freematch.fairness", |config| config.freematch.fairness = -0.001),
        ("softmatch.sigmas", |config| config.softmatch.sigmas = 0.0),
    ];
    for (wanted, change) in changes {
        let mut config = TrainerConfig::default();
        change(&mut config);
        match config.validate() {
            Err(Error::Setting { key, valid, .. }) => {
                assert_eq!(key, wanted);
                assert!(!valid.is_empty());
            }
            other => panic!("{wanted}: {other:?}"),
        }
    }
}

#[test]
fn methods_have_the_settings_of_their_papers() {
    let [released, streaming] = [TrainerConfig::released(), TrainerConfig::streaming()];
    let sections = |config: &TrainerConfig| {
        let value = serde_json::to_value(config).unwrap();
        let keys = ["threshold", "ramp", "mixmatch", "remixmatch", "uda", "flexmatch", "freematch", "softmatch"];
        keys.map(|key| format!("{key}: {:#}", value[key])).join("\n")
    };
    insta::assert_snapshot!(sections(&released), @r#"
    threshold: 0.95
    ramp: 0.4
    mixmatch: {
      "temperature": 0.5,
      "alpha": 0.5,
      "weight": 100.0
    }
    remixmatch: {
      "temperature": 0.5,
      "alpha": 0.75,
      "weight": 1.5,
      "strong_weight": 0.5,
      "rotation_weight": 0.5,
      "ramp": 0.015625,
      "alignment": "labelled"
    }
    uda: {
      "threshold": 0.8,
      "temperature": 0.4,
      "annealing": "off"
    }
    flexmatch: {
      "warm_up": true
    }
    freematch: {
      "fairness": 0.001
    }
    softmatch: {
      "sigmas": 2.0,
      "alignment": "uniform"
    }
    "#);
    assert_eq!(sections(&released), sections(&streaming));
    assert_eq!(released.moving_average.momentum(500), 0.999);
    assert!(streaming.moving_average.momentum(500) < 0.99, "an average of 1,000 steps in a round of 500");
}

#[test]
fn unknown_names_list_the_known_ones() {
    let method = TrainerConfig { method: "adacm".to_owned(), ..TrainerConfig::default() }.validate().unwrap_err();
    assert!(method.to_string().contains("ada-cm") && method.to_string().contains("supervised"), "{method}");
    let backbone = TrainerConfig { backbone: "vgg".to_owned(), ..TrainerConfig::default() }.validate().unwrap_err();
    assert!(backbone.to_string().contains("resnet-tiny"), "{backbone}");
}

#[test]
fn registries_hold_every_name_once_and_agree_with_it() {
    let config = TrainerConfig::default();
    let mut names: Vec<&str> = methods::REGISTRY.iter().map(|(name, _)| *name).collect();
    for (name, build) in methods::REGISTRY {
        assert_eq!(build(&config, 7).name(), *name);
        assert_eq!(build(&config, 7).margins().len(), 7);
    }
    names.extend(backbones::all().iter().map(|backbone| backbone.name()));
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "a name is registered twice");
}

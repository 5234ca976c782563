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
    let changes: [(&str, Change); 10] = [
        ("learning_rate", |config| config.learning_rate = 0.0),
        ("learning_rate", |config| config.learning_rate = f64::NAN),
        ("ema_decay", |config| config.ema_decay = 1.0),
        ("batch_labelled", |config| config.batch_labelled = 1),
        ("image_size", |config| config.image_size = 8),
        ("margin.beta", |config| config.margin.beta = 1.5),
        ("margin.gamma", |config| config.margin.gamma = 1.0),
        ("weights.unlabelled", |config| config.weights.unlabelled = -1.0),
        ("dropout", |config| config.dropout = 1.0),
        ("k_weak", |config| config.k_weak = 0),
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

//! Any text as `marginalia.toml`: it is a config whose values are in their ranges, or an error that says where.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia::config::Config;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::parse(text) {
        Ok(config) => {
            config.validate().expect("a config that was read is valid");
            config.class_list().expect("its classes are classes");
            let _ = (config.ingest.limits(), config.ingest.batch_window());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

//! Any text as a curriculum: what its check lets through can be planned and run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia::config::RoundConfig;
use marginalia::curriculum::{Curriculum, Parameters};
use marginalia_fuzz::table::Table;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let table = Table::shared();
    let curriculum = Curriculum {
        files: Default::default(),
        labelled: text.to_owned(),
        unlabelled: text.to_owned(),
        queue: text.to_owned(),
    };
    table.run(async {
        if curriculum.check(table.session()).await.is_ok() {
            let parameters = Parameters::new(&RoundConfig::default(), 1);
            let _ = curriculum.labelled(table.session(), parameters).await;
        }
    });
    table.assert_unchanged();
});

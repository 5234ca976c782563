//! Any text as SQL: it is answered, refused or stopped at its deadline; nothing is written, and the next query is served.

#![no_main]

use libfuzzer_sys::fuzz_target;
use marginalia_fuzz::table::Table;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let table = Table::shared();
    table.run(async {
        if let Ok(answer) = table.session().query(text).await {
            let _ = answer.collect().await;
        }
    });
    table.assert_unchanged();
});

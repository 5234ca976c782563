//! Choices that readers leave open.

use marginalia_datasets::{Options, reader, readers};

#[test]
fn values_are_those_that_the_reader_declares() {
    let of = |format: &str, texts: &[&str]| Options::of(reader(format).unwrap(), texts);
    assert_eq!(of("ck-plus", &[]).unwrap(), Options::new());
    assert_eq!(of("ck-plus", &["Frames = 3"]).unwrap(), of("ck-plus", &["frames=3"]).unwrap());
    assert_eq!(of("kdef", &["angle=FRONTAL"]).unwrap(), of("kdef", &["angle=frontal"]).unwrap());
    let refusals = [
        ("ck-plus", "frames"),
        ("ck-plus", "farmes=3"),
        ("ck-plus", "frames=0"),
        ("ck-plus", "frames=many"),
        ("ck-plus", "neutral=perhaps"),
        ("expw", "min-confidence=NaN"),
        ("expw", "min-confidence=-1"),
        ("imagefolder", "frames=3"),
    ];
    let messages = refusals.map(|(format, text)| of(format, &[text]).unwrap_err().to_string());
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn every_option_introduces_itself_and_takes_its_own_default() {
    let mut lines = Vec::new();
    for reader in readers() {
        for option in reader.options() {
            Options::of(*reader, [format!("{}={}", option.name, option.default)]).unwrap();
            lines.push(format!("{} {option}", reader.name()));
        }
    }
    insta::assert_snapshot!(lines.join("\n"));
}

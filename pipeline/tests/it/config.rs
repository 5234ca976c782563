//! The config file: what it says by default, what it refuses and in which words, and which corpus it belongs to.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use insta::assert_snapshot;
use marginalia::config::{Config, DEFAULT_TEXT, Every, FILE_NAME, find_corpus, locate_corpus};
use marginalia::error::exit_code;

#[test]
fn the_default_text_says_what_the_default_config_does() {
    assert_eq!(Config::parse(DEFAULT_TEXT).unwrap(), Config::default());
    assert_eq!(Config::parse("").unwrap(), Config::default());
}

#[test]
fn the_default_text_names_every_key_and_its_value() {
    // A commented-out key stands as `#key = value`, prose as `# text`.
    let uncommented: String = DEFAULT_TEXT
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => format!("{key}\n"),
            _ => format!("{line}\n"),
        })
        .collect();
    assert_eq!(Config::parse(&uncommented).unwrap(), Config::default(), "a commented-out value is not the default");

    let written: toml::Table = uncommented.parse().unwrap();
    let known = serde_json::to_value(Config::default()).unwrap();
    assert_eq!(leaves(&serde_json::to_value(written).unwrap()), leaves(&known));
}

#[test]
fn a_written_config_reads_back() {
    let mut config = Config::default();
    config.ingest.ignore = vec!["~*".to_owned()];
    config.round.trigger_every = "1h30m".parse().unwrap();
    config.train.margin.floor = 0.8;
    let text = toml::to_string(&config).unwrap();
    assert_eq!(Config::parse(&text).unwrap(), config);
}

#[test]
fn a_preset_gives_what_the_file_does_not() {
    let released = Config::parse("[train]\npreset = \"released\"\nimage_size = 112\n").unwrap().train;
    assert_eq!(released.image_size, 112);
    assert_eq!(released.margin.floor, 0.8);
    assert_eq!(released.feature_scale, 1.0);
    assert!(released.decay_buffers);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    assert_snapshot!(refused("[ingest]\nsettle_seconds = 1\n"), @"config line 2: unknown key `settle_seconds` in section [ingest]; did you mean `settle_ms`?");
    assert_snapshot!(refused("\n\nsettle_ms = 1\n"), @"config line 3: unknown key `settle_ms` at the top level; `settle_ms` belongs in section [ingest]");
    assert_snapshot!(refused("[ingets]\nsettle_ms = 1\n"), @"config line 1: unknown key `ingets` at the top level; did you mean `ingest`?");
    assert_snapshot!(refused("[train.margin]\nfloors = 0.5\n"), @"config line 2: unknown key `floors` in section [train.margin]; did you mean `floor`?");
    assert_snapshot!(refused("[train]\nfloor = 0.5\n"), @"config line 2: unknown key `floor` in section [train]; `floor` belongs in section [train.margin]");
    assert_snapshot!(refused("[sql]\nclasses = []\n"), @"config line 2: unknown key `classes` in section [sql]; `classes` belongs at the top, before the first section");
    assert_snapshot!(refused("sql.x = 1\n"), @"config line 1: unknown key `x` in section [sql]; known here: memory_mb, timeout_seconds, max_text_kb");
}

#[test]
fn values_out_of_range_are_refused_with_key_value_and_range() {
    assert_snapshot!(refused("[ingest]\n# pause\nsettle_ms = 0\n"), @"config line 3: `ingest.settle_ms` is 0; valid: 1 to 60000 milliseconds");
    assert_snapshot!(refused("[round]\naudit_share = 1.5\n"), @"config line 2: `round.audit_share` is 1.5; valid: 0 to 1");
    assert_snapshot!(refused("[round]\ngate_macro_f1_loss = nan\n"), @"config line 2: `round.gate_macro_f1_loss` is NaN; valid: 0 to 1");
    assert_snapshot!(refused("[train]\ndropout = 1.0\n"), @"config line 2: `train.dropout` is 1; valid: 0 or more, below 1");
    assert_snapshot!(refused("[train.margin]\nfloor = 2\n"), @"config line 2: `train.margin.floor` is 2; valid: 0 (off) to 1");
    assert_snapshot!(refused("[ingest]\nignore = [\"*.tmp\", \"a/b\"]\n"), @r#"config line 2: `ingest.ignore` is `a/b`; valid: patterns for one file or folder name, such as "*.tmp", without /"#);
    assert_snapshot!(refused("[curriculum]\nqueue = \"../queue.sql\"\n"), @"config line 2: `curriculum.queue` is `../queue.sql`; valid: a path relative to the corpus that stays inside it");

    let method = refused("[train]\nmethod = \"adacm\"\n");
    assert!(
        method.starts_with("config line 2: `train.method` is adacm; valid: ") && method.contains("ada-cm"),
        "{method}"
    );
    let classes = refused("classes = [\"happiness\"]\n");
    assert!(classes.starts_with("config line 1: `classes` is happiness; valid: "), "{classes}");

    let mut config = Config::default();
    config.ingest.batch_faces = 0;
    assert_snapshot!(config.validate().unwrap_err(), @"config: `ingest.batch_faces` is 0; valid: 1 to 65536 faces");
}

#[test]
fn every_number_has_a_range() {
    // An absurd value of any number is refused, and the message names its key; seeds alone may be anything.
    let known = serde_json::to_value(Config::default()).unwrap();
    for path in leaves(&known) {
        let value = path.split('.').fold(&known, |value, key| &value[key]);
        if !value.is_number() || path == "train.seed" {
            continue;
        }
        let absurd = if value.is_f64() { "-1e300" } else { "4000000000" };
        let message = refused(&format!("{path} = {absurd}\n"));
        assert!(message.contains(&format!("`{path}`")) && message.contains("valid"), "{path}: {message}");
    }
}

#[test]
fn wrong_types_and_broken_text_name_the_line() {
    for (text, line) in [
        ("[ingest]\nsettle_ms = \"fast\"\n", 2),
        ("[ingest]\nsettle_ms = -5\n", 2),
        ("[ingest]\npoll = \"sometimes\"\n", 2),
        ("[ingest]\ndedup = \"never\"\n", 2),
        ("ingest = 3\n", 1),
        ("[ingest]\n\nsettle_ms =\n", 3),
        ("[round]\ntrigger_every = \"ten minutes\"\n", 2),
        ("[sql]\nmemory_mb = 1\nmemory_mb = 2\n", 3),
    ] {
        let message = refused(text);
        assert!(message.starts_with(&format!("config line {line}: ")), "{text:?}: {message}");
    }
    let message = refused("[round]\ntrigger_every = \"ten minutes\"\n");
    assert!(message.contains("`ten minutes` is no duration") && message.contains("10m"), "{message}");
}

#[test]
fn a_file_is_named_in_its_errors() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(FILE_NAME);
    std::fs::write(&file, "\u{feff}[store]\r\ndurability = \"os\"\r\ncommit_window_ms = 99999\r\n").unwrap();
    let message = Config::load(folder.path()).unwrap_err().to_string();
    assert_eq!(
        message,
        format!("{}:3: `store.commit_window_ms` is 99999; valid: 0 to 10000 milliseconds", file.display())
    );

    std::fs::write(&file, DEFAULT_TEXT).unwrap();
    assert_eq!(Config::load(&file).unwrap(), Config::load(folder.path()).unwrap());

    std::fs::write(&file, b"classes = [\"\xff\"]").unwrap();
    assert!(Config::load(&file).unwrap_err().to_string().starts_with(&file.display().to_string()));
    let missing = folder.path().join("nowhere.toml");
    assert!(Config::load(&missing).unwrap_err().to_string().starts_with(&missing.display().to_string()));
}

#[test]
fn durations_read_and_write() {
    for (text, seconds) in
        [("90s", 90), ("10m", 600), ("1h30m", 5400), ("2d", 172_800), (" 1h ", 3600), ("1d2h3m4s", 93_784)]
    {
        let every: Every = text.parse().unwrap();
        assert_eq!(every.duration(), Some(Duration::from_secs(seconds)), "{text}");
        assert_eq!(every.to_string().parse::<Every>().unwrap(), every);
    }
    assert_eq!("".parse::<Every>().unwrap().duration(), None);
    for text in
        ["0s", "10", "m", "10 m", "1m1h", "1m1m", "-1s", "1.5h", "99999999999999999999s", "9999999999999999999d", "10µ"]
    {
        assert!(text.parse::<Every>().is_err(), "{text}");
    }
}

#[test]
fn the_corpus_is_named_or_above() {
    let folder = tempfile::tempdir().unwrap();
    let top = folder.path().canonicalize().unwrap();
    let corpus = top.join("corpus");
    let deep = corpus.join("a/b");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::create_dir(top.join("plain")).unwrap();
    std::fs::write(corpus.join(FILE_NAME), "").unwrap();

    let here = |path: &Path| locate_corpus(None, None, path);
    assert_eq!(here(&corpus).unwrap(), corpus);
    assert_eq!(here(&deep).unwrap(), corpus);
    let message = here(&top).unwrap_err().to_string();
    assert!(message.contains("--corpus") && message.contains("marginalia init"), "{message}");

    let variable = Some(OsString::from("corpus"));
    assert_eq!(locate_corpus(None, variable.clone(), &top).unwrap(), corpus);
    assert_eq!(locate_corpus(None, Some(OsString::new()), &deep).unwrap(), corpus, "an empty variable is none");

    let explicit = |name: &str| locate_corpus(Some(Path::new(name)), variable.clone(), &top);
    assert_eq!(explicit("corpus").unwrap(), corpus);
    let filter = |name: &str| explicit(name).unwrap_err().to_string();
    assert_snapshot!(filter("plain"), @"--corpus names plain, which holds no marginalia.toml; `marginalia init plain` makes a corpus there");
    assert_snapshot!(filter("nowhere"), @"--corpus names nowhere, which does not exist; `marginalia init nowhere` makes a corpus there");
    assert!(filter("corpus/marginalia.toml").contains("is not a folder"));
    // Whether a URI holds a corpus is asked of its store.
    assert_eq!(explicit("s3://bucket/faces").unwrap(), Path::new("s3://bucket/faces"));
    assert_eq!(find_corpus(Some(&corpus)).unwrap(), corpus);
}

#[test]
fn wrong_config_and_wrong_corpus_are_wrong_usage() {
    assert_eq!(exit_code(&Config::parse("[ingest]\nsettle_ms = 0\n").unwrap_err()), 2);
    assert_eq!(exit_code(&Config::parse("unknown = 0\n").unwrap_err()), 2);
    assert_eq!(exit_code(&Config::parse("=\n").unwrap_err()), 2);
    assert_eq!(exit_code(&locate_corpus(None, None, Path::new("/")).unwrap_err()), 2);
    assert_eq!(exit_code(&Config::load(Path::new("/nowhere/marginalia.toml")).unwrap_err()), 1);
}

fn refused(text: &str) -> String {
    Config::parse(text).expect_err(text).to_string()
}

fn leaves(value: &serde_json::Value) -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, path: &str, into: &mut BTreeSet<String>) {
        match value.as_object() {
            Some(object) => {
                for (key, inner) in object {
                    walk(inner, &if path.is_empty() { key.clone() } else { format!("{path}.{key}") }, into);
                }
            }
            None => {
                into.insert(path.to_owned());
            }
        }
    }
    let mut paths = BTreeSet::new();
    walk(value, "", &mut paths);
    paths
}

//! The repository reads itself: the map is true, the arrows hold, files stay small.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lines of code a file may have, tests in it not counted.
const CEILING: usize = 400;

/// The crate arrows of ARCHITECTURE.md: who may know whom.
const ARROWS: &[(&str, &[&str])] = &[
    ("datasets", &[]),
    ("store", &[]),
    ("trainer", &["marginalia-datasets"]),
    ("labeling-ui", &["marginalia-store"]),
    ("pipeline", &["marginalia-datasets", "marginalia-labeling-ui", "marginalia-store", "marginalia-trainer"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file of the crates, sources and tests.
fn rust_files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for (krate, _) in ARROWS {
        for folder in ["src", "tests"] {
            for entry in walkdir::WalkDir::new(root().join(krate).join(folder)).into_iter().flatten() {
                if entry.path().extension().is_some_and(|extension| extension == "rs") {
                    files.push(entry.into_path());
                }
            }
        }
    }
    assert!(files.len() > 100, "only {} Rust files found", files.len());
    files
}

#[test]
fn paths_named_in_the_architecture_exist() {
    let text = read("ARCHITECTURE.md");
    let names: Vec<&str> = text.split('`').skip(1).step_by(2).filter(|name| name.contains('/')).collect();
    let named = names.iter().filter(|name| ARROWS.iter().any(|(krate, _)| name.starts_with(&format!("{krate}/"))));
    let missing: Vec<_> = named.clone().filter(|name| !root().join(name).exists()).collect();
    assert!(named.count() > 20, "the map names hardly anything");
    assert!(missing.is_empty(), "ARCHITECTURE.md names what does not exist: {missing:?}");
}

#[test]
fn every_module_says_what_it_is() {
    let silent: Vec<_> = rust_files().into_iter().filter(|file| !read(file).trim_start().starts_with("//!")).collect();
    assert!(silent.is_empty(), "no doc line at the top of {silent:?}");
}

#[test]
fn no_file_is_over_its_ceiling() {
    let lines = |file: &PathBuf| {
        let text = read(file);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        code.lines().count()
    };
    let sources = rust_files()
        .into_iter()
        .filter(|file| file.strip_prefix(root()).unwrap().components().nth(1).is_some_and(|c| c.as_os_str() == "src"));
    let long: Vec<_> = sources.map(|file| (lines(&file), file)).filter(|(lines, _)| *lines > CEILING).collect();
    assert!(long.is_empty(), "more than {CEILING} lines: {long:?}");
}

#[test]
fn no_module_is_a_drawer_for_leftovers() {
    let drawers = ["utils", "util", "common", "helpers", "imp", "misc"];
    let found: Vec<_> = rust_files()
        .into_iter()
        .filter(|file| drawers.contains(&file.file_stem().unwrap().to_str().unwrap()))
        .collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn crates_know_only_whom_they_may() {
    for (krate, allowed) in ARROWS {
        let manifest: toml::Table = read(format!("{krate}/Cargo.toml")).parse().expect("a manifest");
        let dependencies = manifest["dependencies"].as_table().expect("dependencies");
        let known: BTreeSet<&str> =
            dependencies.keys().map(String::as_str).filter(|name| name.starts_with("marginalia")).collect();
        assert_eq!(known, allowed.iter().copied().collect(), "{krate} knows others than ARCHITECTURE.md says");
    }
}

#[test]
fn one_version_of_arrow_and_datafusion_is_built() {
    let lock: toml::Table = read("Cargo.lock").parse().expect("a lock file");
    for name in ["arrow", "arrow-array", "datafusion", "lance", "candle-core"] {
        let packages = lock["package"].as_array().expect("packages");
        let versions: Vec<_> = packages.iter().filter(|p| p["name"].as_str() == Some(name)).collect();
        assert_eq!(versions.len(), 1, "{name}: {versions:?}");
    }
}

#[test]
fn what_a_crate_must_not_name() {
    let absences = [
        ("labeling-ui/src", "lance::"),
        ("store/src", "image::"),
        ("trainer/src", "lance"),
        ("datasets/src", "arrow::"),
    ];
    for (folder, name) in absences {
        for file in rust_files().into_iter().filter(|file| file.starts_with(root().join(folder))) {
            let found = read(&file).lines().any(|line| !line.trim_start().starts_with("//") && line.contains(name));
            assert!(!found, "{} names {name}", file.display());
        }
    }
}

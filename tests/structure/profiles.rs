//! The profiles of `Cargo.toml`: images, packages and measurements are built with full optimization of every crate.

use std::collections::BTreeMap;

use crate::root;

/// Returns the lines `crate.opt-level = level` of a profile.
fn levels(profile: &str) -> BTreeMap<String, u8> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let table = manifest.split_once(&format!("[profile.{profile}.package]\n")).unwrap().1;
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let level = |line: &str| {
        let (name, level) = line.split_once(".opt-level = ")?;
        Some((name.trim_matches('"').to_owned(), level.parse().unwrap()))
    };
    lines.filter_map(level).collect()
}

#[test]
fn crates_that_release_optimizes_less_are_optimized_in_images_and_benchmarks() {
    let lowered: BTreeMap<String, u8> = levels("release").into_iter().filter(|(_, level)| *level < 3).collect();
    assert!(lowered.contains_key("*"), "{lowered:?}");
    let restored: BTreeMap<String, u8> = lowered.into_keys().map(|name| (name, 3)).collect();
    assert_eq!(levels("dist"), restored);
    assert_eq!(levels("bench"), restored);
}

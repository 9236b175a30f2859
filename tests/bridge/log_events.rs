//! Every log line of the source has an event code, and the catalogue in docs/operations.md lists exactly these codes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const RUNBOOK: &str = include_str!("../../docs/operations.md");
/// Codes of lines that are not written by a macro of `tracing`.
const WITHOUT_MACRO: [(&str, &str); 3] = [("log_lines_dropped", "warn"), ("panic", "error"), ("library_log", "any")];
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let is_source = path.extension().is_some_and(|extension| extension == "rs");
        let is_test = path.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("tests"));
        if path.is_dir() {
            sources(&path, found);
        } else if is_source && !is_test && !path.components().any(is_tests) {
            found.push(path);
        }
    }
}

fn is_tests(part: std::path::Component<'_>) -> bool {
    part.as_os_str() == "tests"
}

/// The code of a macro's arguments: the text behind `event = "`, which comes before the message.
fn code(arguments: &str) -> Option<&str> {
    let (_, rest) = arguments.split_once("event = \"")?;
    rest.split('"').next().filter(|code| is_code(code))
}

fn is_code(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

/// The arguments of every macro call of `tracing` in a source text, with the macro's level.
fn calls(text: &str) -> Vec<(&'static str, &str)> {
    let mut found = Vec::new();
    for level in LEVELS {
        for (at, name) in text.match_indices(&format!("{level}!(")) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '_') {
                continue;
            }
            let arguments = &text[at + name.len()..];
            found.push((
                level,
                &arguments[..arguments.find(";\n").or(arguments.find(")\n")).unwrap_or(arguments.len())],
            ));
        }
    }
    found
}

/// The codes of the source with their levels, and the calls without one.
fn used() -> (BTreeMap<String, BTreeSet<String>>, Vec<String>) {
    let (mut files, mut codes, mut missing) = (Vec::new(), BTreeMap::<String, BTreeSet<String>>::new(), Vec::new());
    sources(&root().join("src"), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        for (level, arguments) in calls(&text) {
            match code(arguments) {
                Some(code) => drop(codes.entry(code.to_owned()).or_default().insert(level.to_owned())),
                None => missing.push(format!("{name}: {}", arguments.trim().lines().next().unwrap_or(""))),
            }
        }
    }
    for (code, level) in WITHOUT_MACRO {
        codes.entry(code.to_owned()).or_default().insert(level.to_owned());
    }
    (codes, missing)
}

/// The rows of the table below `## Log events`: code, level, meaning, action.
fn catalogued() -> BTreeMap<String, Vec<String>> {
    let section = RUNBOOK.split("\n## Log events\n").nth(1).expect("the catalogue").split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.map(|row| {
        let mut cells = row.split(" | ").map(|cell| cell.trim_end_matches(" |").to_owned());
        (cells.next().unwrap().trim_end_matches('`').to_owned(), cells.collect())
    })
    .collect()
}

#[test]
fn every_log_line_has_an_event_code() {
    let (_, missing) = used();
    assert!(missing.is_empty(), "lines without `event = \"code\"`:\n{}", missing.join("\n"));
}

#[test]
fn the_catalogue_lists_every_event_code_with_its_levels_and_no_other() {
    let (used, _) = used();
    let catalogued = catalogued();
    assert!(used.len() > 30, "{used:?}");
    let missing: Vec<_> = used.keys().filter(|code| !catalogued.contains_key(*code)).collect();
    let left_over: Vec<_> = catalogued.keys().filter(|code| !used.contains_key(*code)).collect();
    assert!(missing.is_empty(), "not in docs/operations.md: {missing:?}");
    assert!(left_over.is_empty(), "in docs/operations.md, but not in the source: {left_over:?}");
    for (code, levels) in used {
        let cells = &catalogued[&code];
        assert_eq!(cells.len(), 3, "{code}: level, meaning, action");
        let listed: BTreeSet<String> = cells[0].split(", ").map(str::to_owned).collect();
        assert_eq!(listed, levels, "{code}: its levels");
    }
}

#[test]
fn a_call_without_a_code_is_found() {
    let text = "tracing::warn!(%error, \"a\");\ntracing::info!(\n    event = \"b_c\",\n    x,\n    \"b\"\n);\n";
    let found: Vec<_> = calls(text).into_iter().map(|(level, arguments)| (level, code(arguments))).collect();
    assert_eq!(found, [("warn", None), ("info", Some("b_c"))]);
    assert_eq!(code("event = \"Not A Code\", \"text\""), None);
}

//! The documents name tests and test files that exist.

use std::collections::BTreeSet;
use std::path::Path;

use crate::root;

/// The suites whose files the documents name without `tests/`.
const SUITES: [&str; 5] = ["bridge/", "kafka/", "attack/", "deploy/", "structure/"];

/// Names of metrics that have as many parts as a test.
const METRICS: [&str; 1] = ["recall_bridge_request_time_skew_seconds"];

/// The names of all functions in the Rust files below a directory.
fn functions(directory: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            functions(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
            names.extend(
                text.split("fn ").skip(1).filter_map(|rest| rest.split(|c| !is_name(c)).next()).map(str::to_owned),
            );
        }
    }
}

/// Whether a word between backticks is a test or a file of a suite that does not exist. A word of six or more parts
/// (`a_test_of_something`) is a test; a final `…` stands for the rest of its name.
fn missing(word: &str, names: &BTreeSet<String>) -> bool {
    let beginning = word.trim_end_matches('…');
    if beginning.matches('_').count() >= 5 && beginning.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        let is_it = |name: &String| if word == beginning { name == word } else { name.starts_with(beginning) };
        return word != word.to_uppercase() && !METRICS.contains(&word) && !names.iter().any(is_it);
    }
    let is_file = Path::new(word).extension().is_some_and(|ending| ending == "rs")
        && SUITES.iter().any(|suite| word.starts_with(suite));
    is_file && !root().join("tests").join(word).is_file()
}

#[test]
fn the_documents_name_existing_tests() {
    let mut names = BTreeSet::new();
    functions(&root().join("src"), &mut names);
    functions(&root().join("tests"), &mut names);
    let mut stale = Vec::new();
    for entry in std::fs::read_dir(root().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            let text = std::fs::read_to_string(&path).unwrap();
            let words = text.split('`').skip(1).step_by(2).filter(|word| missing(word, &names));
            stale.extend(words.map(|word| format!("{}: {word}", path.display())));
        }
    }
    assert!(stale.is_empty(), "{stale:#?}");
}

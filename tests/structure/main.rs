//! The structure of `src`: which module imports which, and how large files are.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test")]

mod circles;
mod links;
mod modules;
mod names;
mod profiles;
mod references;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use modules::Modules;
use names::Types;

const LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The first part of a path below `src`: `spool` of `spool/writer/mod.rs`, `pulse` of `pulse.rs`.
fn top(file: &str) -> &str {
    let first = file.split('/').next().unwrap();
    first.strip_suffix(".rs").unwrap_or(first)
}

/// The words between backticks, without a final `/` or `.rs`.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).map(|word| word.trim_end_matches('/').trim_end_matches(".rs"))
}

/// What the import table of docs/architecture.md allows: for each module the modules that it may import.
fn allowed(all: &BTreeSet<&str>) -> BTreeMap<String, BTreeSet<String>> {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let table = document.split("| may import |").nth(1).unwrap().split("\n\n").next().unwrap();
    let mut allowed = BTreeMap::new();
    for row in table.lines().skip(2) {
        let [_, rows_of, _, imports, _] = *row.split('|').collect::<Vec<_>>() else { panic!("not a row: {row}") };
        let named: BTreeSet<String> = code_words(imports).map(str::to_owned).collect();
        let imports = match imports.trim().split([' ', ',', ';']).next().unwrap() {
            "everything" => all.iter().map(|&name| name.to_owned()).filter(|name| !named.contains(name)).collect(),
            _ => named,
        };
        // `main.rs` is the binary; the rest is the library.
        for name in code_words(rows_of).filter(|name| *name != "main") {
            assert!(all.contains(name), "docs/architecture.md names `{name}`, which does not exist");
            allowed.insert(name.to_owned(), imports.clone());
        }
    }
    allowed
}

#[test]
fn every_import_is_allowed_by_the_table_in_the_architecture_document() {
    let modules = Modules::read(&root().join("src"));
    let all: BTreeSet<&str> = modules.files().map(top).collect();
    let allowed = allowed(&all);
    let mut refused = BTreeSet::new();
    for (from, to) in modules.imports() {
        let (from_top, to_top) = (top(from), top(to));
        if from_top == to_top || from_top == "lib" {
            continue;
        }
        let problem = match allowed.get(from_top) {
            Some(imports) if imports.contains(to_top) => continue,
            Some(_) => format!("{from_top} may not import {to_top}: src/{from} imports src/{to}"),
            None => format!("docs/architecture.md has no row for {from_top}, which imports {to_top}"),
        };
        refused.insert(problem);
    }
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = Modules::read(&root().join("src"));
    let circles = circles::find(&modules.imports());
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn a_circle_is_found() {
    let imports = BTreeSet::from([("a", "b"), ("b", "c"), ("c", "b"), ("c", "d")]);
    assert_eq!(circles::find(&imports), [["b", "c"]]);
}

#[test]
fn no_two_types_have_one_name() {
    let mut types = Types::default();
    for file in rust_files(&root().join("src")) {
        let name = file.display().to_string();
        if !name.contains("tests") {
            types.read(&name, &std::fs::read_to_string(&file).unwrap());
        }
    }
    assert!(types.shared().is_empty(), "{:#?}", types.shared());
    for file in ["a.rs", "b.rs"] {
        types.read(file, "pub struct Seq(u64);");
    }
    assert_eq!(types.shared().len(), 1, "a shared name is found");
}

#[test]
fn no_rust_file_has_more_than_400_lines() {
    let mut long = Vec::new();
    for directory in ["src", "tests", "benches", "examples", "fuzz"] {
        for file in rust_files(&root().join(directory)) {
            let lines = std::fs::read_to_string(&file).unwrap().lines().count();
            if lines > LINES_MAX {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "{long:#?}");
}

/// All `.rs` files below a directory, except those of a build.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("target") {
                files.extend(rust_files(&path));
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

//! Links between the project's documents, and the length of the README.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::root;

/// Five screens of 40 lines.
const README_LINES_MAX: usize = 200;

/// A document: its links and its anchors.
struct Document {
    path: PathBuf,
    links: Vec<String>,
    anchors: BTreeSet<String>,
}

/// The Markdown files at the top, and below these directories.
const DIRECTORIES: [&str; 3] = ["docs", "examples", "deploy"];

/// All links that lead nowhere, each with its document.
fn broken(root: &Path) -> Vec<String> {
    let mut broken = Vec::new();
    for document in all(root) {
        let shown = document.path.strip_prefix(root).unwrap_or(&document.path).display();
        for link in document.links.iter().filter(|link| !is_elsewhere(link)) {
            let (file, anchor) =
                link.split_once('#').map_or((link.as_str(), None), |(file, anchor)| (file, Some(anchor)));
            let target =
                if file.is_empty() { document.path.clone() } else { document.path.parent().unwrap_or(root).join(file) };
            if !target.exists() {
                broken.push(format!("{shown}: {link}: no such file"));
            } else if anchor.is_some_and(|anchor| !read(&target).anchors.contains(anchor)) {
                broken.push(format!("{shown}: {link}: no such section"));
            }
        }
    }
    broken
}

/// The documents that no link leads to, starting at the README.
fn unreachable(root: &Path) -> Vec<PathBuf> {
    let clean = |path: &Path| path.canonicalize().unwrap();
    let mut reached = BTreeSet::new();
    let mut next = vec![clean(&root.join("README.md"))];
    while let Some(path) = next.pop() {
        if path.is_file() && reached.insert(path.clone()) && path.extension().is_some_and(|ending| ending == "md") {
            let links = read(&path).links.into_iter().filter(|link| !is_elsewhere(link));
            let files = links.filter_map(|link| Some(path.parent()?.join(link.split('#').next()?)));
            next.extend(files.filter(|file| file.is_file()).map(|file| clean(&file)));
        }
    }
    all(root).into_iter().map(|document| clean(&document.path)).filter(|path| !reached.contains(path)).collect()
}

fn is_elsewhere(link: &str) -> bool {
    link.contains("://") || link.starts_with("mailto:")
}

fn all(root: &Path) -> Vec<Document> {
    let mut documents = Vec::new();
    let mut directories: Vec<PathBuf> = DIRECTORIES.iter().map(|name| root.join(name)).collect();
    let top = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let mut files: Vec<PathBuf> = top.collect();
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let is_built = ["target", "node_modules"].iter().any(|name| path.ends_with(name));
            if path.is_dir() && !is_built { directories.push(path) } else { files.push(path) }
        }
    }
    files.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    files.sort();
    documents.extend(files.iter().map(|path| read(path)));
    documents
}

fn read(path: &Path) -> Document {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut links, mut anchors) = (Vec::new(), BTreeSet::new());
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            if line.starts_with('#') {
                anchors.insert(anchor(line.trim_start_matches('#').trim()));
            }
            links.extend(links_of(line));
        }
    }
    Document { path: path.to_owned(), links, anchors }
}

/// The targets of `[text](target)`, outside of backticks.
fn links_of(line: &str) -> Vec<String> {
    let mut text = String::new();
    for (at, part) in line.split('`').enumerate() {
        // An odd part is code; a link's text may contain code.
        text.push_str(if at % 2 == 0 { part } else { "code" });
    }
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next());
    targets.map(str::to_owned).collect()
}

/// As the common renderers of Markdown make it from a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_of_the_documents_leads_to_a_file_and_a_section() {
    let broken = broken(root());
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn every_document_can_be_reached_from_the_readme() {
    let unreachable = unreachable(root());
    assert!(unreachable.is_empty(), "{unreachable:#?}");
}

#[test]
fn the_readme_has_at_most_five_screens() {
    let lines = std::fs::read_to_string(root().join("README.md")).unwrap().lines().count();
    assert!(lines <= README_LINES_MAX, "{lines} lines, at most {README_LINES_MAX}: move the rest to docs/");
}

#[test]
fn a_link_and_an_anchor_are_found() {
    assert_eq!(links_of("a [b](c.md#d) `[no](x)` [`e`](f)"), ["c.md#d", "f"]);
    assert_eq!(anchor("The vendor's console"), "the-vendors-console");
    assert_eq!(anchor("`event_id`"), "event_id");
}

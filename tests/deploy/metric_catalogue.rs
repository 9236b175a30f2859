//! docs/operations.md lists every exported metric and no other.

use std::collections::BTreeSet;

use crate::bridge::Setup;

const RUNBOOK: &str = include_str!("../../docs/operations.md");

/// Returns the names in the first column of the table below `## Metrics`, without their labels.
fn catalogued() -> BTreeSet<String> {
    let section = RUNBOOK.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    section
        .lines()
        .filter_map(|line| line.strip_prefix("| `"))
        .flat_map(|row| {
            format!("`{row}").split(" | ").next().unwrap().split('`').map(str::to_owned).collect::<Vec<_>>()
        })
        .filter_map(|name| name.split('{').next().map(|name| name.trim().to_owned()))
        .filter(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        .collect()
}

#[test]
fn every_metric_that_is_exported_is_in_the_catalogue_and_no_other() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let (_, text) = bridge.ops_get("/metrics");
    let exported: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE recall_bridge_"))
        .map(|rest| rest.split(' ').next().unwrap().to_owned())
        .collect();
    let catalogued = catalogued();
    assert!(exported.len() > 20, "{exported:?}");
    let missing: Vec<_> = exported.difference(&catalogued).collect();
    let left_over: Vec<_> = catalogued.difference(&exported).collect();
    assert!(missing.is_empty(), "exported, but not in docs/operations.md: {missing:?}");
    assert!(left_over.is_empty(), "in docs/operations.md, but not exported: {left_over:?}");
}

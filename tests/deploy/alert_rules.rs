//! The alert rules speak of what the bridge really exports, and of a runbook that is there.
//! `promtool test rules` (in `.ci/steps/alert-rules`) shows when each of them fires.

use std::collections::BTreeSet;

use crate::bridge::Setup;

const RULES: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.rules.yml");
const TESTS: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.test.yml");
const RUNBOOK: &str = include_str!("../../docs/operations.md");

/// Values behind `name: ` at the beginning of a line.
fn values<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let start = format!("{name}: ");
    text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(&start)).collect()
}

/// As the common renderers of Markdown make it from a heading.
fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_alert_names_a_section_of_the_runbook_that_is_there_and_is_tested() {
    let headings: BTreeSet<String> = RUNBOOK
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let (alerts, runbooks) = (values(RULES, "alert"), values(RULES, "runbook"));
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(alerts.len(), runbooks.len());
    for (alert, runbook) in alerts.iter().zip(runbooks) {
        let section = runbook.strip_prefix("docs/operations.md#").expect("a section of the runbook");
        assert!(headings.contains(section), "{alert}: no section #{section}");
        let fires = format!("alertname: {alert}\n        exp_alerts:\n");
        assert!(TESTS.contains(&fires), "recall-bridge.test.yml does not show that {alert} fires");
    }
    assert!(RUNBOOK.contains("](#"), "the runbook has no links to its sections");
    for (at, _) in RUNBOOK.match_indices("](#") {
        let link = RUNBOOK[at + 3..].split(')').next().unwrap();
        assert!(headings.contains(link), "docs/operations.md: no section #{link}");
    }
}

#[test]
fn every_metric_that_a_rule_asks_for_is_exported_with_the_labels_it_asks_for() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let (_, text) = bridge.ops_get("/metrics");
    let names: BTreeSet<&str> = RULES
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| (word.starts_with("recall_bridge_") || word.starts_with("process_")) && !word.contains(':'))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        let there =
            text.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
        assert!(there, "{name} is not exported");
    }
    for label in ["outcome", "kind"] {
        assert!(RULES.contains(&format!("{label}=~\"")), "no rule asks for {label}");
        for (at, _) in RULES.match_indices(&format!("{label}=~\"")) {
            let list = RULES[at..].split('"').nth(1).unwrap();
            for value in list.split('|') {
                assert!(text.contains(&format!("{label}=\"{value}\"")), "no {label} is called {value}");
            }
        }
    }
}

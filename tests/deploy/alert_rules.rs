//! The alert rules use only exported metrics and existing sections of the runbook. `promtool test rules` (in
//! `.ci/steps/alert-rules`) tests when each rule fires.

use std::collections::BTreeSet;

use crate::bridge::Setup;

const RULES: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.rules.yml");
const TESTS: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.test.yml");
const RUNBOOK: &str = include_str!("../../docs/operations.md");

/// Returns the values after `name: ` at the beginning of a line.
fn values<'t>(text: &'t str, name: &str) -> Vec<&'t str> {
    let start = format!("{name}: ");
    text.lines().filter_map(|line| line.trim_start().trim_start_matches("- ").strip_prefix(&start)).collect()
}

/// Returns the anchor of a heading, as the common Markdown renderers create it.
pub fn anchor(heading: &str) -> String {
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-';
    heading.to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-")
}

#[test]
fn every_alert_names_an_existing_runbook_section_and_is_tested() {
    let headings: BTreeSet<String> = RUNBOOK
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let (alerts, runbooks) = (values(RULES, "alert"), values(RULES, "runbook_url"));
    assert!(alerts.len() > 10, "{alerts:?}");
    assert_eq!(alerts.len(), runbooks.len());
    for (alert, runbook) in alerts.iter().zip(runbooks) {
        let section = runbook.trim_matches('"').strip_prefix("{{ $externalLabels.runbook_base }}docs/operations.md#");
        let section = section.expect("a section of the runbook");
        assert_eq!(section, alert.to_lowercase(), "every alert has its own section");
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

/// Returns the names of alerts in a text.
fn alerts_in(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.strip_prefix("RecallBridge").is_some_and(|rest| !rest.is_empty())).collect()
}

#[test]
fn the_runbook_names_every_alert_and_no_other() {
    let alerts: BTreeSet<&str> = values(RULES, "alert").into_iter().collect();
    let unknown: Vec<_> = alerts_in(RUNBOOK).difference(&alerts).copied().collect();
    assert!(unknown.is_empty(), "docs/operations.md promises alerts that do not exist: {unknown:?}");
    let table = RUNBOOK.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let in_table = alerts_in(table);
    let missing: Vec<_> = alerts.difference(&in_table).collect();
    assert!(missing.is_empty(), "not in the table of metrics: {missing:?}");
    for row in table.lines().filter(|line| line.starts_with("| `")) {
        let last = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        assert!(last.starts_with("—") || last.starts_with("`RecallBridge"), "the last cell names alerts: {row}");
    }
}

#[test]
fn the_night_table_has_every_alert_that_pages_and_no_warning() {
    let alerts = values(RULES, "alert").into_iter().zip(values(RULES, "labels"));
    let pages: BTreeSet<&str> =
        alerts.filter(|(_, labels)| *labels == "{severity: page}").map(|(alert, _)| alert).collect();
    let night = RUNBOOK.split("\n## What to do at night\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: String = night.lines().filter(|line| line.starts_with("| [")).collect();
    assert_eq!(alerts_in(&rows), pages);
}

#[test]
fn every_metric_and_label_of_a_rule_is_exported() {
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
    for label in ["outcome", "kind", "reason", "share", "command", "step", "result"] {
        let mut asked = 0;
        for operator in ["=~", "!~", "=", "!="] {
            for (at, start) in RULES.match_indices(&format!("{label}{operator}\"")) {
                asked += 1;
                for value in RULES[at + start.len()..].split('"').next().unwrap().split('|') {
                    let there = text.contains(&format!("{label}=\"{value}\""));
                    assert!(there || label == "step", "no {label} is called {value}");
                }
            }
        }
        assert!(asked > 0, "no rule asks for {label}");
    }
}

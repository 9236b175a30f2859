//! The queries of the dashboard use only exported metrics and the provisioned data source. [`crate::prometheus`] tests
//! that a real Prometheus answers each query.

use std::collections::BTreeSet;

use recall_bridge::ingest::Outcome;
use serde_json::Value;

use crate::bridge::Setup;
use crate::promtext::parse;

const BOARD: &str = include_str!("../../deploy/grafana/dashboards/recall-bridge.json");
const SOURCES: &str = include_str!("../../deploy/grafana/provisioning/datasources/prometheus.yml");
const PROVIDER: &str = include_str!("../../deploy/grafana/provisioning/dashboards/recall-bridge.yml");
const RULES: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.rules.yml");
const RUNBOOK: &str = include_str!("../../docs/operations.md");
const COMPOSE: &str = include_str!("../../docker-compose.yml");

fn board() -> Value {
    serde_json::from_str(BOARD).expect("the dashboard is JSON")
}

fn walk(value: &Value, see: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(fields) => {
            see(fields);
            fields.values().for_each(|inner| walk(inner, see));
        }
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, see)),
        _ => {}
    }
}

/// Returns every query of panels and annotations, with its title.
pub fn queries() -> Vec<(String, String)> {
    let board = board();
    let panels = board["panels"].as_array().unwrap().iter();
    let shown = panels.map(|panel| (panel["title"].as_str().unwrap(), panel));
    let notes = board["annotations"]["list"].as_array().unwrap().iter();
    let notes = notes.map(|note| (note["name"].as_str().unwrap(), note));
    let mut found = Vec::new();
    for (title, part) in shown.chain(notes) {
        walk(part, &mut |fields| {
            if let Some(expr) = fields.get("expr") {
                found.push((title.to_owned(), expr.as_str().unwrap().to_owned()));
            }
        });
    }
    assert!(found.len() > 30, "{found:?}");
    found
}

/// Returns the words of a query that may be names of metrics or of recording rules.
fn names(expr: &str) -> impl Iterator<Item = &str> {
    expr.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter(|word| ["recall_bridge_", "recall_bridge:", "process_"].iter().any(|start| word.starts_with(start)))
}

#[test]
fn every_metric_and_label_of_the_dashboard_is_exported_or_recorded() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let text = bridge.ops_get("/metrics").1;
    let samples = parse(&text);
    let (mut outcomes, mut sums) = (0, 0);
    for (title, expr) in queries() {
        for name in names(&expr) {
            let exported = samples.keys().any(|series| series.split('{').next() == Some(name));
            let recorded = RULES.contains(&format!("record: {name}\n"));
            assert!(exported || recorded, "{title}: no target exports {name}");
        }
        for (at, _) in expr.match_indices("outcome=~\"") {
            outcomes += 1;
            for outcome in expr[at..].split('"').nth(1).unwrap().split('|') {
                assert!(text.contains(&format!("outcome=\"{outcome}\"")), "{title}: no outcome is called {outcome}");
            }
        }
        for (at, _) in expr.match_indices("sum by (") {
            sums += 1;
            let labels = expr[at + "sum by (".len()..].split(')').next().unwrap();
            for label in labels.split(',').map(str::trim).filter(|label| *label != "instance") {
                let of = names(&expr[at..]).next().unwrap();
                let start = format!("{of}{{");
                let labelled = samples.keys().filter(|series| series.starts_with(&start));
                assert!(labelled.clone().count() > 0, "{title}: {of} has no labels");
                labelled.for_each(|series| assert!(series.contains(&format!("{label}=\"")), "{title}: {series}"));
            }
        }
    }
    assert!(outcomes > 0 && sums > 0, "{outcomes} lists of outcomes and {sums} sums were looked at");
}

#[test]
fn every_panel_has_a_description_a_place_and_the_data_source() {
    let board = board();
    let mut sources = 0;
    walk(&board, &mut |fields| {
        if let Some(source) = fields.get("datasource") {
            sources += 1;
            let uid = source["uid"].as_str().unwrap();
            assert!(SOURCES.contains(&format!("uid: {uid}\n")), "{uid} is not provisioned");
        }
    });
    assert!(sources > 0, "no panel names a data source");
    let panels = board["panels"].as_array().unwrap();
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
        if panel["type"] != "row" {
            assert!(panel["description"].as_str().is_some_and(|text| text.len() > 5), "{title}: no description");
        }
        let place = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(place("x") + place("w") <= 24, "{title}");
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(taken.insert((x, y)), "{title} lies on another panel");
            }
        }
    }
    let rows: Vec<_> = panels.iter().filter(|panel| panel["type"] == "row").map(|row| &row["title"]).collect();
    assert_eq!(rows[..3], ["Are we accepting?", "Is everything published?", "How far behind?"]);
}

#[test]
fn every_query_selects_the_nodes_of_the_variable() {
    for (title, expr) in queries() {
        let selectors = expr.matches('{').count();
        let nodes = expr.matches("instance=~\"$node").count();
        assert!(selectors > 0 && nodes == selectors, "{title}: {nodes} of {selectors} selectors use $node: {expr}");
        let bare = names(&expr).find(|name| !expr.contains(&format!("{name}{{")));
        assert_eq!(bare, None, "{title}: a metric without a selector");
    }
}

#[test]
fn links_lead_to_sections_of_the_runbook() {
    let board = board();
    let mut anchors = Vec::new();
    walk(&board, &mut |fields| {
        if let Some(url) = fields.get("url").and_then(Value::as_str) {
            anchors.push(
                url.strip_prefix("${runbook}").expect("a link to the runbook").trim_start_matches('#').to_owned(),
            );
        }
    });
    assert!(anchors.len() > 10, "{anchors:?}");
    for anchor in anchors.iter().filter(|anchor| !anchor.is_empty()) {
        let is_heading = |line: &str| {
            line.starts_with('#') && crate::alert_rules::anchor(line.trim_start_matches('#').trim()) == *anchor
        };
        assert!(RUNBOOK.lines().any(is_heading), "docs/operations.md has no section #{anchor}");
    }
    let variables = board["templating"]["list"].as_array().unwrap();
    assert!(variables.iter().any(|variable| variable["name"] == "runbook"));
}

#[test]
fn refused_recalls_have_the_colour_of_their_severity() {
    let board = board();
    let panels = board["panels"].as_array().unwrap();
    let panel = panels.iter().find(|panel| panel["title"] == "Recalls refused, by outcome").expect("the panel");
    let overrides = panel["fieldConfig"]["overrides"].as_array().unwrap();
    let colour = |outcome: &str| {
        let of = overrides.iter().find(|one| one["matcher"]["options"] == outcome);
        let of = of.unwrap_or_else(|| panic!("{outcome} has no colour"));
        of["properties"][0]["value"]["fixedColor"].as_str().unwrap().to_owned()
    };
    let refused = Outcome::ALL.into_iter().filter(|outcome| outcome.status() != 200 && *outcome != Outcome::Expired);
    for outcome in refused.map(Outcome::label) {
        // The quarantine keeps these webhooks, and the alert RecallBridgeQuarantineGrows is a warning.
        let wanted = if matches!(outcome, "stale" | "malformed") { "orange" } else { "red" };
        assert!(colour(outcome).ends_with(wanted), "{outcome}: {}", colour(outcome));
    }
}

#[test]
fn the_provider_looks_where_compose_mounts_the_dashboards() {
    let path = PROVIDER.lines().find_map(|line| line.trim().strip_prefix("path: ")).expect("a path");
    assert!(COMPOSE.contains(&format!("./deploy/grafana/dashboards:{path}:ro")), "{path}");
    assert!(COMPOSE.contains(&format!("{path}/recall-bridge.json")), "the first page is another one");
}

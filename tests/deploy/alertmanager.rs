//! The inhibition rules of `deploy/prometheus/alertmanager.yml`. `amtool check-config` checks the syntax
//! (`.ci/steps/alert-rules`).

use std::collections::{BTreeMap, BTreeSet};

const CONFIG: &str = include_str!("../../deploy/prometheus/alertmanager.yml");
const RULES: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.rules.yml");

/// An inhibition rule. `targets` is `None` if it matches every alert.
struct Rule<'t> {
    sources: BTreeSet<&'t str>,
    targets: Option<BTreeSet<&'t str>>,
}

/// Returns the severity of every alert.
fn alerts() -> BTreeMap<&'static str, &'static str> {
    let after = |text: &'static str, start| text.split(start).nth(1).unwrap();
    let alerts = RULES.split("- alert: ").skip(1);
    alerts
        .map(|text| (text.split('\n').next().unwrap(), after(text, "severity: ").split('}').next().unwrap()))
        .collect()
}

/// Returns the names in a matcher on `alertname`, or `None` if it matches every alert of the bridge.
fn names(line: &str) -> Option<BTreeSet<&str>> {
    let matcher = line.split_once("[alertname").expect("a matcher on alertname").1.trim_end_matches(']');
    let pattern = matcher.trim_start_matches([' ', '=', '~']).trim_matches('"');
    (pattern != "RecallBridge.+").then(|| pattern.split('|').collect())
}

fn rules() -> Vec<Rule<'static>> {
    let all = CONFIG.split("inhibit_rules:\n").nth(1).unwrap().split("- source_matchers: ").skip(1);
    all.map(|text| {
        let targets = text.lines().find_map(|line| line.trim().strip_prefix("target_matchers: ")).unwrap();
        Rule { sources: names(text.lines().next().unwrap()).expect("named sources"), targets: names(targets) }
    })
    .collect()
}

/// Returns the alerts of one node that still notify.
fn left<'a>(firing: &BTreeSet<&'a str>) -> BTreeSet<&'a str> {
    let is_muted = |alert: &str| {
        rules().iter().any(|rule| {
            let is_target = rule.targets.as_ref().is_none_or(|targets| targets.contains(alert));
            is_target && !rule.sources.contains(alert) && rule.sources.iter().any(|source| firing.contains(source))
        })
    };
    firing.iter().copied().filter(|alert| !is_muted(alert)).collect()
}

#[test]
fn every_name_in_the_inhibition_rules_is_an_alert() {
    let alerts = alerts();
    assert!(rules().len() > 5);
    for rule in rules() {
        for name in rule.sources.iter().chain(rule.targets.iter().flatten()) {
            assert!(alerts.contains_key(name), "{name} does not exist");
        }
        assert!(rule.targets.is_none_or(|targets| targets.is_disjoint(&rule.sources)));
    }
}

#[test]
fn no_warning_mutes_a_page() {
    let alerts = alerts();
    for rule in rules() {
        let pages = |names: &BTreeSet<&str>| names.iter().any(|name| alerts[name] == "page");
        if rule.targets.as_ref().is_none_or(pages) {
            for source in rule.sources {
                assert_eq!(alerts[source], "page", "{source} mutes a page");
            }
        }
    }
}

#[test]
fn one_cause_is_one_page() {
    let alerts = alerts();
    for (cause, firing) in [
        (
            "KafkaNeedsYou",
            "KafkaNeedsYou KafkaDown BacklogOld BacklogVeryOld SpoolFilling SpoolHalfFull TransactionsUnknown",
        ),
        ("NoneAccepted", "NoneAccepted FewAccepted RefusalsJump NoWebhooks"),
        ("NoneAccepted", "NoneAccepted FewAccepted RecallsRefused QuarantineGrows ClockSkew"),
        ("HandshakesOnlyFail", "HandshakesOnlyFail HandshakesFail NoWebhooks"),
        ("Down", "Down NoWebhooks KafkaNeedsYou Restarted LogLinesDropped NoneAccepted"),
        ("CertificateExpiresToday", "CertificateExpiresToday CertificateExpires"),
    ] {
        let firing: Vec<String> = firing.split(' ').map(|name| format!("RecallBridge{name}")).collect();
        let firing: BTreeSet<&str> = firing.iter().map(String::as_str).collect();
        assert!(firing.iter().all(|name| alerts.contains_key(name)), "{firing:?}");
        let pages: Vec<&str> = left(&firing).into_iter().filter(|name| alerts[name] == "page").collect();
        assert_eq!(pages, [format!("RecallBridge{cause}")]);
    }
}

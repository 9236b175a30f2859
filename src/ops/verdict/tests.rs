use std::collections::BTreeSet;

use super::losing::remedy;
use super::*;
use crate::ops::status::{KafkaCell, KafkaStatus};

const NOW_MS: i64 = 1_700_000_000_000;

struct Scene {
    draining: bool,
    reasons: Vec<String>,
    depth: u64,
    oldest: Duration,
    kafka: KafkaStatus,
    arrivals: Arrivals,
    quarantined: u64,
    replayable: u64,
}

fn ready() -> KafkaStatus {
    let cell = KafkaCell::default();
    cell.set(KafkaState::Ready);
    cell.get()
}

fn failing(connected: bool, needs_you: Option<&'static str>) -> KafkaStatus {
    let cell = KafkaCell::default();
    if connected {
        cell.set(KafkaState::Ready);
    }
    cell.fail("timeout", "broker refused: no route".to_owned(), needs_you);
    cell.get()
}

fn scene() -> Scene {
    Scene {
        draining: false,
        reasons: Vec::new(),
        depth: 0,
        oldest: Duration::ZERO,
        kafka: ready(),
        arrivals: Arrivals { window: Duration::from_secs(300), accepted: 100, ..Arrivals::default() },
        quarantined: 0,
        replayable: 0,
    }
}

impl Scene {
    fn verdict(&self) -> NodeVerdict {
        verdict(&VerdictFacts {
            now_ms: NOW_MS,
            draining: self.draining,
            reasons: &self.reasons,
            degraded: &[],
            depth: self.depth,
            oldest_age: self.oldest,
            bytes: 500,
            capacity_bytes: 1000,
            kafka: &self.kafka,
            arrivals: &self.arrivals,
            quarantine_events: self.quarantined,
            replayable: self.replayable,
        })
    }

    fn refused(mut self, accepted: u64, refused: &[(&'static str, u64)]) -> Self {
        self.arrivals.accepted = accepted;
        self.arrivals.refused = refused.to_vec();
        self
    }
}

#[test]
fn a_healthy_node_says_so_in_two_sentences() {
    let healthy = scene().verdict();
    assert_eq!(
        (healthy.state, &healthy.headline[..]),
        (VerdictState::Accepting, "Accepting. Everything is published.")
    );
    assert_eq!((healthy.next_step, healthy.runbook), (None, None));
    let busy = Scene { depth: 3, ..scene() }.verdict();
    assert_eq!(
        (busy.state, &busy.headline[..]),
        (VerdictState::Accepting, "Accepting. Recalls are published as they arrive.")
    );
}

#[test]
fn recalls_that_wait_have_a_number_a_time_a_cause_and_an_estimate() {
    let mut waiting = Scene { depth: 4312, oldest: Duration::from_secs(3600), kafka: failing(true, None), ..scene() };
    waiting.arrivals.growth_bytes_per_second = Some(500.0 / 18_000.0);
    let verdict = waiting.verdict();
    assert_eq!(
        (verdict.state, &verdict.headline[..]),
        (
            VerdictState::Waiting,
            "Accepting. 4,312 recalls wait for Kafka since 21:13 UTC (broker refused: no route). Nothing is lost; full in \
             about 5 h."
        )
    );
    assert_eq!(verdict.runbook, Some("docs/operations.md#recallbridgekafkadown"));
    waiting.kafka = failing(true, Some("create the topic"));
    let verdict = waiting.verdict();
    assert_eq!(verdict.next_step.as_deref(), Some("Create the topic."));
    assert_eq!(verdict.runbook, Some("docs/operations.md#recallbridgekafkaneedsyou"));
    waiting.kafka = ready();
    waiting.arrivals.drain_events_per_second = Some(43.12);
    assert!(
        waiting.verdict().headline.ends_with("Nothing is lost; published in about 2 min."),
        "{waiting}",
        waiting = waiting.verdict().headline
    );
}

#[test]
fn a_node_is_not_healthy_before_it_has_connected() {
    for depth in [0, 1] {
        let new = Scene { kafka: KafkaCell::default().get(), depth, ..scene() }.verdict();
        assert_eq!(new.state, VerdictState::Starting, "{}", new.headline);
        let failing = Scene { kafka: failing(false, None), depth, ..scene() }.verdict();
        assert_eq!(failing.state, VerdictState::Waiting, "{}", failing.headline);
        assert!(failing.headline.contains("not connected to Kafka since the start (broker refused"));
    }
    let gone = Scene { kafka: failing(true, None), ..scene() }.verdict();
    assert_eq!(gone.state, VerdictState::Waiting, "{}", gone.headline);
}

#[test]
fn refused_webhooks_are_a_loss_by_number_or_by_kind() {
    let losing = |accepted, refused: &[(&'static str, u64)]| scene().refused(accepted, refused).verdict();
    let token = losing(0, &[("bad_sign", 165)]);
    assert_eq!(
        (token.state, &token.headline[..]),
        (
            VerdictState::Losing,
            "LOSING RECALLS: 165 of 165 webhooks in the last 5 minutes were refused (165 bad_sign)."
        )
    );
    assert!(token.next_step.is_some_and(|step| step.contains("id:old|new")));
    assert_eq!(losing(10, &[("bad_sign", 10)]).state, VerdictState::Losing);
    // A scanner that knows the command, among the vendor's webhooks.
    let scanner = losing(10, &[("bad_sign", 9)]);
    assert_eq!(scanner.state, VerdictState::Accepting);
    assert!(scanner.details.iter().any(|detail| detail.contains("9 webhooks were refused")), "{:?}", scanner.details);
    for outcome in ["stale", "malformed", "spool_full", "unavailable", "timeout"] {
        assert_eq!(losing(1000, &[(outcome, 1)]).state, VerdictState::Losing, "{outcome}");
    }
    let kept = losing(1000, &[("stale", 1), ("malformed", 2)]);
    assert!(kept.headline.ends_with("(1 stale and 2 malformed). They are in quarantine and can be published."));
    // The cause is the authentic one, although the scanner is louder.
    let both = losing(1000, &[("bad_sign", 50), ("stale", 1)]);
    assert_eq!(both.runbook, Some("docs/operations.md#recallbridgeclockskew"));
}

#[test]
fn a_node_that_cannot_accept_says_so_before_the_first_webhook_is_lost() {
    let full = || Scene { reasons: vec!["spool full: 9 of 9 bytes".to_owned()], ..scene() };
    let quiet = full().verdict();
    assert_eq!(quiet.state, VerdictState::Losing);
    assert!(quiet.headline.starts_with("NOT ACCEPTING: spool full"), "{}", quiet.headline);
    assert_eq!(quiet.runbook, Some("docs/operations.md#the-spool-is-full"));
    let losing = full().refused(0, &[("spool_full", 2)]).verdict();
    assert!(losing.headline.starts_with("LOSING RECALLS: spool full"), "{}", losing.headline);
    let broken = Scene { reasons: vec!["spool broken: EIO".to_owned()], ..scene() }.verdict();
    assert_eq!(broken.runbook, Some("docs/operations.md#a-broken-disk"));
    assert_eq!(Scene { draining: true, ..full() }.verdict().state, VerdictState::Stopping);
}

#[test]
fn after_an_incident_the_verdict_names_its_remaining_effects() {
    let healed = Scene { replayable: 3, ..scene() }.verdict();
    assert_eq!(healed.state, VerdictState::Accepting);
    assert!(healed.next_step.is_some_and(|step| step.contains("refused replay")));
    let kept = Scene { quarantined: 1, ..scene() }.verdict();
    assert_eq!(kept.headline, "Accepting. Everything is published, except 1 entry in quarantine.");
}

#[test]
fn every_runbook_link_leads_to_a_section() {
    let document = include_str!("../../../docs/operations.md");
    let anchor = |heading: &str| -> String {
        let kept = heading
            .to_lowercase()
            .chars()
            .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c))
            .collect::<String>();
        kept.replace(' ', "-")
    };
    let anchors: BTreeSet<String> = document
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| anchor(line.trim_start_matches('#').trim()))
        .collect();
    let outcomes = [
        "bad_sign",
        "unknown_app",
        "bad_query",
        "stale",
        "malformed",
        "spool_full",
        "too_large",
        "timeout",
        "draining",
        "",
    ];
    let mut links: Vec<&str> = outcomes.map(|outcome| remedy(outcome).1).to_vec();
    let sources = [include_str!("losing.rs"), include_str!("publishing.rs")];
    links.extend(
        sources.iter().flat_map(|source| source.split('"').filter(|text| text.starts_with("docs/operations.md#"))),
    );
    assert!(links.len() > 15);
    for link in links {
        let (file, anchor) = link.split_once('#').unwrap();
        assert!(file == "docs/operations.md" && anchors.contains(anchor), "{link}");
    }
}

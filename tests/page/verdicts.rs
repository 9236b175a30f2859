//! Each verdict of the page. The tests cause each state on a real bridge.

use rustix::process::Signal;

use crate::bridge::{APP, Setup};
use crate::browser::Browser;
use crate::mock::Kafka;
use crate::sender::signed_query;
use crate::{cli, sender};

#[test]
fn a_healthy_node_is_green_and_says_that_everything_is_published() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for number in 0..30 {
        sender(&bridge).acknowledged(&format!("#TOA#_{}", number % 7), &[format!("{number}_1_1698741698")]);
    }
    bridge.wait_published();
    let mut browser = Browser::on(&bridge);
    browser.wait("#verdict[data-state=accepting] h2", "Accepting. Everything is published.");
    browser.wait("#published-table td", "#TOA#_1");
    browser.wait("#accounts-table td", "#TOA#_6");
    assert!(browser.text("#state") == "OK" && browser.text("#figures").contains("Kafka"));
    browser.shots("accepting");
    browser.assert_accessible();
    assert_eq!(browser.ask(&serde_json::json!({ "do": "cookies" })), 0);
    browser.assert_no_errors();
}

#[test]
fn a_node_that_never_reached_kafka_is_not_green() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let mut browser = Browser::on(&bridge);
    browser.wait("#headline", "not connected to Kafka since the start");
    browser.wait("#step-text", "Check the brokers");
    assert_eq!(browser.ask(&serde_json::json!({ "do": "count", "selector": "#verdict[data-state=accepting]" })), 0);
    sender(&bridge).acknowledged("a", &["k"]);
    browser.wait("#headline", "1 recall waits for it. Nothing is lost.");
    browser.assert_accessible();
    browser.assert_no_errors();
}

#[test]
fn recalls_that_wait_for_kafka_have_number_time_and_cause() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    sender(&bridge).acknowledged("a", &["first"]);
    bridge.wait_published();
    kafka.down();
    let mut browser = Browser::on(&bridge);
    sender(&bridge).acknowledged("a", &["k1", "k2", "k3"]);
    browser.wait("#verdict[data-state=waiting] h2", "3 recalls wait for Kafka since");
    browser.wait("#headline", "Nothing is lost");
    browser.click("#open-runbook");
    browser.wait("#dialog-title", "RecallBridge");
    browser.shots("waiting");
    browser.assert_accessible();
    browser.assert_no_errors();
    browser.ask(&serde_json::json!({ "do": "press", "key": "Escape" }));
    kafka.up();
    browser.wait("#verdict[data-state=accepting] h2", "Everything is published");
}

#[test]
fn a_changed_token_is_a_loss_with_its_next_step() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut browser = Browser::on(&bridge);
    let wrong = signed_query(APP, "the-token-in-the-console");
    for _ in 0..5 {
        assert_eq!(sender(&bridge).post(&wrong, "{}").code(), 120_007);
    }
    browser
        .wait("#verdict[data-state=losing] h2", "LOSING RECALLS: 5 of 5 webhooks in the last 5 minutes were refused");
    assert!(browser.text("#step-text").contains("Compare the token"));
    browser.wait("#refused-table td", "bad_sign");
    browser.shots("losing");
    browser.assert_accessible();
    browser.assert_no_errors();
}

#[test]
fn stale_webhooks_are_a_loss_that_the_quarantine_can_undo() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut browser = Browser::on(&bridge);
    assert_eq!(cli::stale(&bridge, "#TOA#_1", &["1_1_1"]), 120_008);
    browser.wait("#verdict[data-state=losing] h2", "They are in quarantine and can be published.");
    browser.wait("#quarantine-table td", "#TOA#_1");
    browser.assert_no_errors();
}

#[test]
fn a_page_without_an_answering_node_says_that_it_is_stale() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut browser = Browser::on(&bridge);
    browser.wait("#verdict[data-state=accepting] h2", "Everything is published");
    bridge.process.signal(Signal::STOP);
    browser.wait("#stale", "STALE: the node has not answered since");
    browser.shots("stale");
    browser.assert_accessible();
    bridge.process.signal(Signal::CONT);
    browser.ask(&serde_json::json!({ "do": "wait", "selector": "body:not(.is-stale) #headline", "text": "published" }));
}

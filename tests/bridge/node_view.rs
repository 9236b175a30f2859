//! `status` and `top`: a running node in words.

use crate::bridge::{APP, Setup, TOKEN, eventually};
use crate::cli::{expect, json, run, stderr, stdout};
use crate::mock::Kafka;
use crate::sender::{Sender, query_at, recall_body, unix_now};

const HOSTILE: &str = "#TOA#_\u{1b}[2J\u{202e}<script>";

#[test]
fn status_and_top_show_what_a_healthy_node_did() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let ask = bridge.setup().clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address());
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for number in 0..3 {
        sender.acknowledged(HOSTILE, &[format!("{number}_7_1")]);
    }
    bridge.wait_published();
    eventually("the verdict is good", || (bridge.status()["verdict"]["state"] == "accepting").then_some(()));

    let shown = run(&ask, 0, &["status"]);
    assert!(shown.starts_with("ACCEPTING"), "{shown}");
    for part in ["Everything is published.", "accepted 3, published 3", "kafka       ready", "quarantine  0 entries"] {
        assert!(shown.contains(part), "{part:?} is not in {shown}");
    }
    let status = json(&ask, 0, &["status", "--json"]).remove(0);
    assert_eq!((&status["verdict"]["state"], &status["accepted_seq"]), (&"accepting".into(), &3.into()));

    let screen = run(&ask, 0, &["top", "--once"]);
    for part in ["ACCEPTING", "accepted         ", "Last published", "2_7_1", "Accounts with the most records"] {
        assert!(screen.contains(part), "{part:?} is not in {screen}");
    }
    assert!(!screen.contains(['\u{1b}', '\u{202e}']), "{screen:?}");
    let url = format!("http://{}", bridge.ops_address());
    let seen = json(&Setup::new("unused:1"), 0, &["top", "--once", "--json", "--url", &url]).remove(0);
    assert_eq!(seen["published"]["records"][0]["msg_key"], "2_7_1");
    assert_eq!(seen["accounts"]["accounts"][0]["records"], 3);
    assert!(seen["history"]["accepted"].is_array() && seen["refused"]["entries"].is_array(), "{seen}");
}

#[test]
fn a_node_that_loses_recalls_is_exit_1_and_names_the_next_step() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let ask = bridge.setup().clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address());
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let forged = query_at(APP, "another-token", recall_bridge::events::RECALL_COMMAND, unix_now());
    for _ in 0..5 {
        let answer = sender.post(&forged, recall_body(HOSTILE, &["1_1_1"]));
        assert_eq!(answer.code(), 120_007, "{answer:?}");
    }
    eventually("the verdict is bad", || (bridge.status()["verdict"]["state"] == "losing").then_some(()));
    let output = ask.run(&["status"]);
    expect(&output, 1);
    let shown = stdout(&output);
    assert!(shown.starts_with("LOSING") && shown.contains("bad_sign") && shown.contains("next step: "), "{shown}");
    let screen = run(&ask, 0, &["top", "--once"]);
    assert!(screen.contains("Refused, newest first") && screen.contains("bad_sign"), "{screen}");
}

#[test]
fn a_node_that_does_not_answer_is_an_error_that_names_the_address() {
    let setup = Setup::new("unused:1").env("BRIDGE_OPS_LISTEN", "127.0.0.1:1");
    for command in [&["status"][..], &["top", "--once"]] {
        let output = setup.run(command);
        expect(&output, 75);
        assert!(stderr(&output).contains("127.0.0.1:1"), "{output:?}");
        let wrong = setup.run(&[command, &["--url", "no url"]].concat());
        expect(&wrong, 2);
        assert!(stderr(&wrong).contains("http://host:9100"), "{wrong:?}");
    }
}

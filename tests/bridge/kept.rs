//! Authentic webhooks that are not published: which of them are stored in quarantine.

use crate::bridge::{APP, Bridge, TOKEN};
use crate::cli::{entries, json, run};
use crate::mock::Kafka;
use crate::sender::{Answer, Sender, query_at, recall_body, unix_now};
use crate::topic::Record;
use recall_bridge::events::{OTHER_COMMANDS, RECALL_COMMAND};

const DAY: i64 = 86_400;

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

fn ignored(bridge: &Bridge, command: &str) -> f64 {
    bridge.metric(&format!("ignored_commands_total{{command=\"{command}\"}}"))
}

/// A webhook of a command, this many seconds late.
fn post(bridge: &Bridge, command: &str, late: i64, body: String) -> Answer {
    let query = query_at(APP, TOKEN, command, unix_now() - late);
    Sender::new(&bridge.url(), APP, TOKEN).post(&query, body)
}

#[test]
fn no_other_command_is_stored_at_any_time_and_with_any_body() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for late in [0, 120, -120, 3 * DAY, -400 * DAY, 400 * DAY] {
        for command in OTHER_COMMANDS.into_iter().chain(["C2C.CallbackAfterSendMsg", "Made.Up"]) {
            assert!(post(&bridge, command, late, "chat text ".repeat(400)).is_ok(), "{command} {late}");
        }
    }
    for command in OTHER_COMMANDS.into_iter().chain(["C2C.CallbackAfterSendMsg", "other"]) {
        assert_eq!(ignored(&bridge, command), 6.0, "{command}");
    }
    assert_eq!((counted(&bridge, "ignored"), bridge.metric("quarantine_events")), (72.0, 0.0));
    // A clock is wrong by a day at most.
    assert_eq!(bridge.metric("request_time_skew_seconds_count"), 36.0);
    assert_eq!(post(&bridge, RECALL_COMMAND, 120, recall_body("#TOA#_1", &["1_1_1"])).code(), 120_008);
}

#[test]
fn a_near_miss_is_acknowledged_stored_logged_and_can_be_published() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", 64 << 10);
    let bridge = setup.start();
    let near = [
        "OfficialAccount.CallbackAfterMsgWithdraw",
        "officialaccount.callbackaftermsgwithdraw",
        "OfficialAccount.CallbackAfterMsgWithDrawn",
        "CallbackAfterMsgWithDraw",
        "OfficialChannel.CallbackAfterMsgWithDraw",
    ];
    for (number, command) in near.iter().enumerate() {
        let body = recall_body("#TOA#_1", &[format!("{number}_1_1")]).replace(RECALL_COMMAND, command);
        assert!(post(&bridge, command, 120, body).is_ok(), "{command}");
    }
    assert_eq!((ignored(&bridge, "near_miss"), ignored(&bridge, "other")), (5.0, 0.0));
    bridge.process.wait_for_line("near_miss");
    let reasons: Vec<String> = entries(&setup).into_iter().map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["near_miss"; 5]);
    // Its share is small; beyond it they are acknowledged all the same, and push nothing out.
    for _ in 0..10 {
        assert!(post(&bridge, near[0], 0, "x".repeat(1000)).is_ok());
    }
    assert!(entries(&setup).len() < 10);
    assert_eq!((counted(&bridge, "ignored"), counted(&bridge, "spool_full")), (15.0, 0.0));
    run(&setup, 0, &["quarantine", "requeue", "1", "4"]);
    bridge.wait_published();
    assert_eq!(kafka.records().iter().map(Record::msg_key).collect::<Vec<_>>(), ["0_1_1", "3_1_1"]);
}

#[test]
fn a_request_time_a_day_away_is_expired_and_fills_only_its_own_share() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_QUARANTINE_MAX_BYTES", 64 << 10);
    let bridge = setup.start();
    let recall = |late| post(&bridge, RECALL_COMMAND, late, recall_body("#TOA#_1", &["k".repeat(900)]));
    for late in [DAY + 60, -DAY - 60, 400 * DAY, unix_now()] {
        let answer = recall(late);
        assert_eq!((answer.status, answer.code()), (403, 120_015), "{answer:?}");
    }
    assert_eq!(recall(DAY - 60).code(), 120_008);
    let listed = json(&setup, 0, &["quarantine", "list", "--json", "--reason", "expired"]);
    assert!(!listed.is_empty() && listed[0]["account"] == "#TOA#_1", "{listed:?}");
    for _ in 0..10 {
        assert_eq!(recall(400 * DAY).code(), 120_015, "a full share is not told as a lost recall");
    }
    assert_eq!((counted(&bridge, "expired"), counted(&bridge, "spool_full")), (14.0, 0.0));
    assert!(json(&setup, 0, &["quarantine", "list", "--json", "--reason", "expired"]).len() <= 4);
    assert_eq!(recall(DAY - 60).code(), 120_008);
}

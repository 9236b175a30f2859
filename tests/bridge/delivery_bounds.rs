//! Tests of the limits of one webhook, and of its memory use.

use serde_json::Value;

use crate::bridge::{APP, TOKEN};
use crate::cli::{entries, run};
use crate::mock::Kafka;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_webhook_above_a_limit_is_quarantined_and_explained_at_requeue() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_MAX_BODY_BYTES", 1 << 20);
    let bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let over = [
        ("Official_Account", recall_body(&"a".repeat(32_000), &keys(1800))),
        ("Official_Account", recall_body(&"a".repeat(1025), &["k"])),
        ("Official_Account", recall_body(&"\u{1}".repeat(1025), &["k"])),
        ("WithdrawMsgList[1].MsgKey", recall_body("a", &["k".to_owned(), "k".repeat(32_769)])),
        ("WithdrawMsgList: over 1000 keys", recall_body("a", &keys(1001))),
        ("WithdrawMsgList: over 1000 keys", recall_body("a", &vec!["k"; 50_000])),
        ("its records would have", recall_body(&"a".repeat(1000), &keys(900))),
        ("its records would have", recall_body(&"\u{1}".repeat(1000), &keys(200))),
    ];
    for (says, body) in &over {
        let answer = sender.post(&signed_query(APP, TOKEN), body.clone());
        assert_eq!((answer.status, answer.code()), (400, 120_009), "{answer:?}");
        assert!(answer.info().contains(says), "{answer:?}");
    }
    assert_eq!(entries(&setup).len(), over.len());
    for (id, (says, _)) in (1..).zip(&over) {
        let said = run(&setup, 1, &["quarantine", "requeue", "--json", &id.to_string()]);
        let told: Value = serde_json::from_str(said.lines().next().unwrap()).unwrap();
        assert!(told["why"].as_str().unwrap().contains(says), "{said}");
    }
    // A webhook exactly at the limits is accepted.
    for (account, keys) in [
        ("a".repeat(1024), keys(10)),
        ("\u{1}".repeat(1024), keys(1)),
        ("a".to_owned(), vec!["k".repeat(32_768)]),
        ("a".repeat(48), (0..1000).map(|number| format!("{number}_{}", "k".repeat(32))).collect()),
    ] {
        sender.acknowledged(&account, &keys);
    }
    assert_eq!(bridge.metric("events_accepted_total"), 1012.0);
}

#[test]
fn one_webhook_takes_a_few_megabytes_for_any_content() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("BRIDGE_MAX_BODY_BYTES", 1 << 20).env("BRIDGE_DEDUP_WINDOW_SECONDS", 0);
    let bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["warm_1_1"]);
    bridge.wait_published();
    let before = bridge.process.peak_memory();
    let filled = |head: &str, item: &str, tail: &str| {
        format!("{head}{}{tail}", item.repeat(((1 << 20) - head.len() - tail.len()) / item.len()))
    };
    let account = "a".repeat(32_000);
    let codes = [
        filled(
            &format!("{{\"Official_Account\":\"{account}\",\"WithdrawMsgList\":[{{\"MsgKey\":\"k\"}}"),
            ",{\"MsgKey\":\"\\u0031\"}",
            "]}",
        ),
        filled("{\"Official_Account\":\"a\",\"WithdrawMsgList\":[{\"MsgKey\":\"k\"}", ",{\"MsgKey\":\"k\"}", "]}"),
        filled("{\"Official_Account\":\"a\",\"WithdrawMsgList\":[{\"MsgKey\":\"k\"}],\"EventTime\":[0", ",0", "]}"),
        filled("{\"Official_Account\":\"a\",\"WithdrawMsgList\":[{\"MsgKey\":\"k\"}]", ",\"EventTime\":{}", "}"),
        filled("{\"Official_Account\":\"a\",\"WithdrawMsgList\":[{\"MsgKey\":\"k\"}],\"x\":[[]", ",[]", "]}"),
        filled("{\"Official_Account\":\"a\",\"WithdrawMsgList\":\"", "x", "\"}"),
        filled("", "[", ""),
        recall_body(&"a".repeat(48), &keys(1000)),
    ]
    .map(|body| sender.post(&signed_query(APP, TOKEN), body).code());
    let (taken, malformed) = (0, 120_009);
    assert_eq!(codes, [malformed, malformed, taken, taken, taken, malformed, malformed, taken]);
    let grown = bridge.process.peak_memory() - before;
    assert!(grown < 16 << 20, "{grown} bytes");
}

#[test]
fn a_header_is_passed_on_in_its_bounds_only() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let known = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let long = format!("{known}-{}", "x".repeat(8000));
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    assert!(sender.post_with(&[("traceparent", &long)], &signed_query(APP, TOKEN), body).is_ok());
    bridge.wait_published();
    let records = kafka.records();
    let header = &records[0].headers["traceparent"];
    assert_eq!(header, known);
}

#[test]
fn unused_parameters_need_not_be_decodable() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let fixed = signed_query(APP, TOKEN).replace("&ClientIP=127.0.0.1&OptPlatform=RESTAPI", "");
    for (number, (odd, client_ip, platform)) in [
        ("RequestId=100%", None, None),
        ("%=%&%zz=%FF&contenttype=%B0", None, None),
        ("ClientIP=fe80::1%eth0", Some("fe80::1%eth0"), None),
        ("ClientIP=fe80::1%25eth0&OptPlatform=%B0%B2%D7%BF", Some("fe80::1%eth0"), None),
        ("OptPlatform=Web%", None, Some("Web%")),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = sender.post(&format!("{fixed}&{odd}"), recall_body("#TOA#_1", &[format!("{number}_1_1")]));
        assert!(answer.is_ok(), "{odd}: {answer:?}");
        bridge.wait_published();
        let records = kafka.records();
        let value = &records.last().unwrap().value;
        assert_eq!((value["client_ip"].as_str(), value["opt_platform"].as_str()), (client_ip, platform), "{odd}");
    }
    let undecodable = query_at(APP, TOKEN, "%zz", unix_now());
    assert_eq!(sender.post(&undecodable, "{}").code(), 120_005);
}

//! Tests of the commands other than `serve`, as processes.

use serde_json::Value;

use crate::bridge::{APP, Setup, TOKEN};
use crate::cli::{expect, stderr, stdout};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::Sender;

/// Returns the commit of this checkout; empty outside a checkout.
fn commit() -> String {
    if !std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists() {
        return String::new();
    }
    let head = std::process::Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).run().unwrap();
    format!(" ({})", stdout(&head).trim())
}

#[test]
fn version_and_help_are_printed() {
    let setup = Setup::new("unused:1");
    let version = setup.run(&["--version"]);
    expect(&version, 0);
    assert_eq!(stdout(&version).trim(), format!("recall-bridge {}", env!("CARGO_PKG_VERSION")) + &commit());
    let help = setup.run(&["--help"]);
    expect(&help, 0);
    let help = stdout(&help);
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let commands: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    for expected in [
        "serve",
        "demo",
        "send",
        "tail",
        "check-config",
        "health",
        "explain",
        "spool",
        "quarantine",
        "refused",
        "find",
        "replay",
        "status",
        "top",
        "completions",
    ] {
        assert!(commands.contains(&expected), "{expected} is not among {commands:?}");
    }
    // `src/main_tests.rs` tests that each command has a correct example.
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = setup.run(&[command, "--help"]);
        expect(&help, 0);
        assert!(stdout(&help).contains("Example:"), "{help:?}");
    }
    expect(&setup.run(&["no-such-command"]), 2);
}

#[test]
fn health_reports_whether_the_bridge_can_accept_webhooks() {
    let setup = Setup::new("127.0.0.1:1");
    let mut bridge = setup.start();
    let ask = setup.clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address());
    let healthy = ask.run(&["health"]);
    expect(&healthy, 0);
    assert!(stdout(&healthy).contains("\"ready\":true"), "{healthy:?}");
    let anywhere = format!("0.0.0.0:{}", bridge.ops_address().port());
    expect(&setup.clone().env("BRIDGE_OPS_LISTEN", anywhere).run(&["health"]), 0);
    // An invalid configuration file does not make a running bridge unhealthy.
    expect(&ask.clone().without("BRIDGE_APPS").env("BRIDGE_TLS_CERT", "/gone").run(&["health"]), 0);
    expect(&setup.run(&["health", "--url", &format!("http://{}/readyz", bridge.ops_address())]), 0);
    bridge.kill();
    let dead = ask.run(&["health"]);
    expect(&dead, 1);
    assert!(stderr(&dead).contains("does not respond"), "{dead:?}");
}

#[test]
fn check_config_shows_settings_hides_secrets_and_asks_the_broker() {
    let kafka = Kafka::start();
    let setup = kafka.setup().env("KAFKA_SASL_PASSWORD", "kafka-passw0rd");
    let sound = setup.run(&["check-config"]);
    expect(&sound, 0);
    let shown = stdout(&sound);
    for line in ["BRIDGE_TOPIC=official-account.recalls", "BRIDGE_ACK_TIMEOUT_MS=1500  (default)"] {
        assert!(shown.lines().any(|shown| shown == line), "{line} is not in {shown}");
    }
    let said = format!("{shown}{}", stderr(&sound));
    assert!(said.contains("reachable") && said.contains("4 partition(s)"), "{said}");
    // The embedded broker has one replica.
    let verdict = shown.lines().last().unwrap();
    assert_eq!(verdict, "verdict: ready, with risks when a broker fails: replication factor");
    assert!(!said.contains(TOKEN) && !said.contains("passw0rd"), "{said}");

    let json = setup.run(&["check-config", "--json", "--offline"]);
    expect(&json, 0);
    let settings: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!((&settings["BRIDGE_APPS"], &settings["sasl.password"]), (&format!("{APP}:***").into(), &"***".into()));
    assert!(!settings.to_string().contains("passw0rd") && !settings.to_string().contains(TOKEN), "{settings}");

    // The mock broker does not support settings of topics.
    assert!(said.contains("settings cannot be read"), "{said}");
    assert_eq!(said.matches("warning ").count(), 1, "the mock's topics have one replica: {said}");

    let missing = setup.clone().env("BRIDGE_TOPIC", "no-such-topic").run(&["check-config"]);
    expect(&missing, 75);
    assert!(stderr(&missing).contains("no-such-topic"), "{missing:?}");
    assert!(stderr(&missing).starts_with("problem "), "problems come first: {missing:?}");
    assert!(stdout(&missing).ends_with("verdict: NOT READY: 1 problem(s) to solve first\n"), "{missing:?}");
    kafka.down();
    let away = setup.run(&["check-config"]);
    expect(&away, 75);
    assert!(stderr(&away).contains("cannot be reached"), "{away:?}");
    expect(&setup.run(&["check-config", "--offline"]), 0);
    expect(&setup.env("BRIDGE_DELIVERY", "never").run(&["check-config"]), 78);
}

#[test]
fn check_config_names_the_fix_for_a_broker_without_transactions() {
    let kafka = Kafka::start();
    kafka.without_transactions();
    // The client retries until its timeout.
    let setup = kafka.setup();
    let output = setup.run(&["check-config"]);
    expect(&output, 75);
    let said = stderr(&output);
    assert!(said.contains("BRIDGE_DELIVERY=at_least_once"), "{said}");
    assert!(said.contains("4 partition(s)"), "other findings are reported: {said}");
    // A producer without transactions needs an id too.
    let output = setup.env("BRIDGE_DELIVERY", "at_least_once").run(&["check-config"]);
    expect(&output, 75);
    assert!(stderr(&output).contains("InitProducerId"), "{output:?}");
}

#[test]
fn check_config_succeeds_while_a_bridge_runs() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let output = bridge.setup().run(&["check-config"]);
    expect(&output, 0);
    assert!(stderr(&output).contains("in use by a running bridge"), "{output:?}");
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
}

#[test]
fn tail_verifies_the_records_of_send() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let setup = bridge.setup();
    let app = APP.to_string();
    let (url, args) = (bridge.url(), ["send", "--app", &app, "--json", "--count", "50", "--keys-per-webhook", "3"]);
    let sent = setup.run(&[&args[..], &["--url", &url, "--token", TOKEN, "--connections", "4"]].concat());
    expect(&sent, 0);
    let summary: Value = serde_json::from_str(&stdout(&sent)).unwrap();
    assert_eq!((&summary["sent"], &summary["acknowledged"]), (&50.into(), &50.into()), "{summary}");
    assert!(summary["p99_ms"].as_f64().unwrap() > 0.0);
    bridge.wait_published();

    let tail = setup.run(&["tail", "--from", "beginning", "--until-end", "--verify", "--json"]);
    expect(&tail, 0);
    let mut records: Vec<Value> = stdout(&tail).lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    let verdict = records.pop().unwrap();
    assert_eq!(records.len(), 150);
    for record in &records {
        assert_eq!(record["key"], record["value"]["official_account"]);
        let at: jiff::Timestamp = record["timestamp"].as_str().unwrap().parse().unwrap();
        assert_eq!(record["timestamp_ms"], at.as_millisecond(), "{record}");
    }
    assert_eq!((&verdict["verified"], &verdict["report"]["records"]), (&true.into(), &150.into()), "{verdict}");
    let verified = setup.run(&["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"]);
    assert!(stdout(&verified).contains("150 records, 0 errors: verified"), "{verified:?}");
    let few = setup.run(&["tail", "--from", "beginning", "--count", "7"]);
    expect(&few, 0);
    assert_eq!(stdout(&few).lines().count(), 7);

    let refused = setup.run(&[&args[..], &["--url", &url, "--token", "wrong"]].concat());
    expect(&refused, 1);
    assert!(stdout(&refused).contains("120007"), "{refused:?}");
    let summary = setup.run(&["send", "--url", &url, "--app", &app, "--token", TOKEN, "--count", "5", "--rate", "100"]);
    expect(&summary, 0);
    assert!(stdout(&summary).contains("5 webhooks") && stdout(&summary).contains("p99"), "{summary:?}");
}

#[test]
fn tail_finds_a_duplicated_record() {
    use rdkafka::message::OwnedHeaders;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1", "2_1_1"]);
    bridge.wait_published();
    let verify = ["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"];
    expect(&bridge.setup().run(&verify), 0);

    let record = kafka.records().swap_remove(0);
    let producer: BaseProducer =
        rdkafka::ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(rdkafka::message::Header { key, value: Some(value) })
    });
    let value = record.value.to_string();
    let again = BaseRecord::to(crate::bridge::TOPIC).partition(record.partition).key(&record.key).payload(&value);
    producer.send(again.headers(headers)).map_err(|(error, _)| error).unwrap();
    producer.flush(crate::bridge::PATIENCE).unwrap();
    let found = bridge.setup().run(&verify);
    expect(&found, 1);
    assert!(stdout(&found).contains("is a duplicate") && stdout(&found).contains("NOT as promised"), "{found:?}");
}

#[test]
fn tail_names_the_number_of_a_rejected_record_and_its_place() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("KAFKA_MESSAGE_MAX_BYTES", 2000).start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1", "2_1_1", &"large".repeat(600), "3_1_1"]);
    bridge.wait_published();
    let found = bridge.setup().run(&["tail", "--from", "beginning", "--until-end", "--verify", "--quiet"]);
    expect(&found, 1);
    let said = stdout(&found);
    assert!(said.contains("1 number(s) missing: 3;") && said.contains("recall-bridge quarantine list"), "{said}");
    let listed = bridge.setup().run(&["quarantine", "list", "--json"]);
    let entry: Value = serde_json::from_str(stdout(&listed).trim()).unwrap();
    assert_eq!(entry["bridge_seq"], 3);
    assert!(said.contains(entry["bridge_spool"].as_str().unwrap()), "{said}");
}

#[test]
fn explain_shows_the_outcome_of_a_webhook() {
    let setup = Setup::new("127.0.0.1:1");
    let url = |token: &str| format!("http://bridge/?{}", crate::sender::signed_query(APP, token));
    let sound = setup.run(&["explain", "--url", &url(TOKEN)]);
    let forged = setup.run(&["explain", "--url", &url("wrong")]);
    let said = format!("{}{}", stdout(&forged), stderr(&forged));
    assert!(said.contains("bad_sign"), "{forged:?}");
    let all = format!("{said}{}{}", stdout(&sound), stderr(&sound));
    assert!(!all.contains(TOKEN), "{all}");
}

#[test]
fn the_demo_publishes_every_recall_exactly_once() {
    // The demo needs no configuration.
    let setup = ["BRIDGE_APPS", "BRIDGE_SPOOL_DIR", "BRIDGE_TOPIC", "KAFKA_BOOTSTRAP_SERVERS"]
        .into_iter()
        .fold(Setup::new("unused:1"), Setup::without);
    let demo = setup.run(&["demo"]);
    expect(&demo, 0);
    let said = stdout(&demo);
    let number = |what: &str| {
        let line = said.lines().find(|line| line.trim_start().starts_with(what)).unwrap_or_else(|| panic!("{said}"));
        line.split_whitespace().last().unwrap().parse::<u64>().unwrap()
    };
    assert!(number("recalled messages acknowledged") >= 20, "{said}");
    assert_eq!(number("records in Kafka"), number("recalled messages acknowledged"), "{said}");
    assert_eq!((number("missing"), number("duplicated")), (0, 0), "{said}");
}

//! `replay` publishes records of a time range again, through the node or to another topic.

use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use serde_json::Value;

use crate::bridge::{APP, Bridge, PATIENCE, Setup, TOKEN, TOPIC};
use crate::cli::{expect, json, run, stderr, stdout, stop};
use crate::mock::Kafka;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::{Record, prove};

const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fn recall(bridge: &Bridge, account: &str, key: &str) {
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    let body = recall_body(account, &[key]);
    assert!(sender.post_with(&[("traceparent", TRACE)], &signed_query(APP, TOKEN), body).is_ok());
}

/// The command that a preview printed, without the name of the program, as a shell would split it.
#[track_caller]
fn confirmation(setup: &Setup, args: &[&str]) -> (Value, Vec<String>) {
    let preview = json(setup, 0, &[&["replay", "--json"][..], args].concat()).remove(0);
    let line: Vec<String> = serde_json::from_value(preview["confirm"].clone()).unwrap_or_default();
    (preview, line.into_iter().skip(1).collect())
}

fn replay(setup: &Setup, code: i32, line: &[String]) -> Value {
    let line: Vec<&str> = line.iter().map(String::as_str).chain(["--json"]).collect();
    json(setup, code, &line).remove(0)
}

fn original<'r>(records: &'r [Record], again: &Record) -> &'r Record {
    let of_one = records.iter().filter(|record| record.key == again.key && record.msg_key() == again.msg_key());
    of_one.min_by_key(|record| record.offset).unwrap()
}

#[test]
fn records_are_published_again_through_the_node_and_verified() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for (account, key) in [("#TOA#_1", "1_1_1"), ("#TOA#_1", "2_1_1"), ("#TOA#_2", "3_1_1")] {
        recall(&bridge, account, key);
    }
    bridge.wait_published();
    let setup = bridge.setup();
    let (preview, line) = confirmation(setup, &["--since", "1h"]);
    assert_eq!((&preview["records"], &preview["accounts"]), (&3.into(), &2.into()), "{preview}");
    assert_eq!(kafka.records().len(), 3, "a preview publishes nothing");
    let fixed: Vec<&str> = line.iter().map(String::as_str).filter(|word| *word != "--yes").collect();
    let first = run(setup, 0, &fixed);
    assert!(first.contains("3 records of 2 accounts") && first.contains("nothing was published"), "{first}");

    let done = replay(setup, 0, &line);
    assert_eq!((&done["records"], &done["complete"]), (&3.into(), &true.into()), "{done}");
    bridge.wait_published();
    assert_eq!(run(setup, 0, &fixed), first, "the same preview again");
    let records = kafka.records();
    prove(&records);
    let again: Vec<&Record> = records.iter().filter(|record| record.headers.contains_key("bridge_replay")).collect();
    assert_eq!((records.len(), again.len()), (6, 3));
    for record in again {
        let was = original(&records, record);
        assert_eq!((&record.value, record.spool()), (&was.value, was.spool()));
        assert_eq!(record.headers["bridge_replay"], done["bridge_replay"].as_str().unwrap());
        assert!(record.seq() > 3 && record.timestamp_ms >= was.timestamp_ms, "{record:?}");
        assert_eq!(was.headers["traceparent"], TRACE);
        let mut headers = was.headers.clone();
        headers.remove("traceparent");
        headers.extend(
            record.headers.iter().filter(|(name, _)| name.starts_with("bridge_")).map(|(a, b)| (a.clone(), b.clone())),
        );
        assert_eq!(headers, record.headers);
    }
    assert_eq!((&done["first"]["bridge_seq"], &done["last"]["bridge_seq"]), (&4.into(), &6.into()), "{done}");
    // A second replay of a longer time repeats the originals only.
    let (preview, _) = confirmation(setup, &["--since", "1h"]);
    assert_eq!((&preview["records"], &preview["left_out"]["repeats"]), (&3.into(), &3.into()), "{preview}");
    let (preview, line) = confirmation(setup, &["--since", "1h", "--with-repeats"]);
    assert_eq!(preview["records"], 6, "{preview}");
    assert!(line.contains(&"--with-repeats".to_owned()), "{line:?}");
    let url = format!("http://{}/status", bridge.ops_address());
    run(setup, 0, &["tail", "--until-end", "--verify", "--status-url", &url]);
    assert_eq!(bridge.process.log_of("records_replayed").len(), 1);
}

#[test]
fn a_replay_selects_by_time_and_account_and_leaves_other_records_out() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    recall(&bridge, "#TOA#_1", "1_1_1");
    recall(&bridge, "#TOA#_2", "2_1_1");
    bridge.wait_published();
    let producer: BaseProducer = ClientConfig::new().set("bootstrap.servers", kafka.address()).create().unwrap();
    let foreign = BaseRecord::to(TOPIC).key("#TOA#_1").payload("{}").partition(0);
    producer.send(foreign).map_err(|(error, _)| error).unwrap();
    producer.flush(PATIENCE).unwrap();
    let setup = bridge.setup();
    let (preview, line) = confirmation(setup, &["--since", "1h", "--account", "#TOA#_1"]);
    assert_eq!((&preview["records"], &preview["left_out"]["foreign"]), (&1.into(), &1.into()), "{preview}");
    let said = run(setup, 0, &["replay", "--since", "1h", "--account", "#TOA#_1"]);
    assert!(
        said.contains("--account '#TOA#_1'") && said.contains("(left out: 1 that a bridge did not write)"),
        "{said}"
    );
    replay(setup, 0, &line);
    bridge.wait_published();
    let again = bridge.status()["published_seq"].clone();
    assert_eq!(again, 3);
    let (preview, line) = confirmation(setup, &["--since", "2h", "--until", "1h"]);
    assert_eq!((&preview["records"], line.len()), (&0.into(), 0), "{preview}");
    expect(&setup.run(&["replay", "--since", "1h", "--until", "2h"]), 2);
    expect(&setup.run(&["replay"]), 2);
}

#[test]
fn a_replay_needs_the_running_node_of_this_topic_and_broker() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    let setup = bridge.setup().clone();
    kafka.create_topic("another");
    for (changed, says) in [
        (setup.clone().env("BRIDGE_TOPIC", "another"), "names topic another"),
        (setup.clone().env("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1"), "127.0.0.1:1"),
    ] {
        for yes in [&["--yes"][..], &[]] {
            let output = changed.run(&[&["replay", "--since", "1h"], yes].concat());
            expect(&output, 75);
            assert!(stderr(&output).contains(says) && stderr(&output).contains(&kafka.address()), "{output:?}");
        }
    }
    stop(&mut bridge);
    let output = setup.run(&["replay", "--since", "1h"]);
    expect(&output, 75);
    assert!(stderr(&output).contains("no node runs"), "{output:?}");
}

#[test]
fn records_are_published_to_another_topic_without_a_node() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    for number in 0..50 {
        recall(&bridge, &format!("#TOA#_{}", number % 5), &format!("{number}_1_1"));
    }
    bridge.wait_published();
    stop(&mut bridge);
    kafka.create_topic("again");
    let setup = bridge.setup();
    let (preview, line) = confirmation(setup, &["--since", "1h", "--to-topic", "again"]);
    assert_eq!(preview["records"], 50, "{preview}");
    assert!(kafka.topic_named("again").read().is_empty(), "a preview publishes nothing");
    let done = replay(setup, 0, &line);
    let records = kafka.topic_named("again").read();
    prove(&records);
    assert_eq!((records.len(), kafka.records().len()), (50, 50));
    let id = done["bridge_replay"].as_str().unwrap();
    assert!(records.iter().all(|record| record.spool() == id && record.headers["bridge_replay"] == id));
    assert!(records.iter().all(|record| original(&kafka.records(), record).value == record.value));
    run(&setup.clone().env("BRIDGE_TOPIC", "again"), 0, &["tail", "--until-end", "--verify"]);

    let output = setup.run(&["replay", "--since", "1h", "--to-topic", TOPIC]);
    expect(&output, 2);
    assert!(stderr(&output).contains("leave --to-topic out"), "{output:?}");
    let output = setup.run(&["replay", "--since", "1h", "--to-topic", "no-such-topic"]);
    expect(&output, 75);
    assert!(stderr(&output).contains("no-such-topic does not exist"), "{output:?}");
    let text = setup.run(&["replay", "--since", "1h", "--to-topic", "again", "--yes"]);
    expect(&text, 0);
    assert!(stdout(&text).contains("bridge_replay=") && stdout(&text).contains("50 records of 5 accounts"), "{text:?}");
}

/// 100 records of 60 kB: while Kafka is slow, the spool takes an eighth of its limit.
#[test]
fn a_replay_leaves_room_in_the_spool_for_new_recalls() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 16 << 20).start();
    let large = "k".repeat(30_000);
    for number in 0..100 {
        recall(&bridge, "#TOA#_1", &format!("{number}{large}"));
    }
    bridge.wait_published();
    let (_, line) = confirmation(bridge.setup(), &["--since", "1h"]);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    kafka.delay(std::time::Duration::from_millis(50));
    let mut command = bridge.setup().launch(&line);
    let mut most = 0.0_f64;
    let code = loop {
        most = most.max(bridge.metric("spool_bytes"));
        if let Some(code) = command.try_exit() {
            break code;
        }
        std::thread::yield_now();
    };
    assert_eq!(code, 0, "{}", command.tail());
    assert!(most < f64::from(3 << 20), "{most} bytes");
    kafka.delay(std::time::Duration::ZERO);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 200);
}

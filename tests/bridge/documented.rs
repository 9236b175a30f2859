//! The commands, names and samples of the documents are those of the program.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use recall_bridge::config::VARIABLES;
use recall_bridge::events::recall::event_id;
use rustix::process::Signal;
use serde_json::Value;

use crate::bridge::{APP, PATIENCE, Setup, TOKEN, eventually};
use crate::cli::{expect, stdout};
use crate::mock::Kafka;
use crate::sender::{Sender, recall_body, signed_query};

/// The README and the documents below docs/, each with its path.
fn documents() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec![root.join("README.md")];
    paths.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    paths.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[track_caller]
fn document(name: &str) -> String {
    let (_, text) = documents().into_iter().find(|(path, _)| path.ends_with(name)).expect(name);
    text
}

/// The content of each fenced block of a language.
fn blocks<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let fence = format!("```{language}\n");
    let indented = text.split(&fence).skip(1);
    indented.filter_map(|rest| rest.split("```").next()).collect()
}

/// The arguments of each call of `recall-bridge` in the shell blocks and between the backticks of a text.
fn calls(text: &str) -> Vec<Vec<String>> {
    let inline = text.split("`recall-bridge ").skip(1).filter_map(|rest| rest.split('`').next());
    let inline = inline.map(|call| call.split_whitespace().map(str::to_owned).collect());
    let lines = blocks(text, "sh").into_iter().flat_map(str::lines).map(|line| line.split(" #").next().unwrap());
    let commands = lines.flat_map(|line| line.split([';', '|', '&']).map(str::to_owned).collect::<Vec<_>>());
    let words = commands.map(|command| command.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let fenced = words.filter_map(|words| {
        let at = words.iter().position(|word| word == "recall-bridge" || word.ends_with("/recall-bridge"))?;
        let is_call = words[..at].iter().all(|word| {
            word.contains('=')
                || ["docker", "compose", "exec", "bridge", "kubectl", "sudo", "-T"].contains(&word.as_str())
        });
        (is_call && at + 1 < words.len()).then(|| words[at + 1..].to_vec())
    });
    inline.chain(fenced).collect()
}

#[test]
fn every_documented_call_names_a_command_and_options_that_exist() {
    let setup = Setup::new("unused:1");
    let mut checked = BTreeSet::new();
    for (path, text) in documents() {
        for call in calls(&text) {
            let sub = call
                .iter()
                .take_while(|word| word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-'));
            let takes_another = ["spool", "quarantine"].contains(&call[0].as_str());
            let sub: Vec<&str> = sub.map(String::as_str).take(1 + usize::from(takes_another)).collect();
            if sub.is_empty() {
                continue; // Only `--version` or the like.
            }
            let help = setup.run(&[&sub[..], &["--help"]].concat());
            assert!(help.status.success(), "{}: recall-bridge {}", path.display(), sub.join(" "));
            let help = stdout(&help);
            for option in call.iter().filter(|word| word.starts_with("--")).filter_map(|word| word.split('=').next()) {
                assert!(help.contains(option), "{}: recall-bridge {} has no {option}", path.display(), sub.join(" "));
            }
            checked.insert(sub.join(" "));
        }
    }
    for known in ["tail", "send", "check-config", "quarantine list", "spool status", "demo"] {
        assert!(checked.contains(known), "no document calls recall-bridge {known}: {checked:?}");
    }
}

#[test]
fn every_command_has_a_row_in_the_reference() {
    let help = Setup::new("unused:1").run(&["--help"]);
    let help = stdout(&help);
    let commands = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let reference = document("docs/commands.md");
    for name in commands.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help") {
        assert!(reference.contains(&format!("| `recall-bridge {name}` |")), "docs/commands.md has no row for {name}");
    }
}

#[test]
fn every_variable_that_a_document_names_exists() {
    for (path, text) in documents() {
        for (at, _) in text.match_indices("`BRIDGE_") {
            let name = text[at + 1..].split(|c: char| !(c.is_ascii_uppercase() || c == '_')).next().unwrap();
            let is_known = |name: &str| VARIABLES.iter().any(|variable| variable.name == name);
            let is_abbreviated = name == "BRIDGE_";
            assert!(
                is_abbreviated || is_known(name) || name.strip_suffix("_FILE").is_some_and(is_known),
                "{}: {name} does not exist",
                path.display()
            );
        }
    }
}

#[test]
fn every_documented_endpoint_responds() {
    let bridge = Kafka::start().setup().start();
    let reference = document("docs/commands.md");
    let endpoints: Vec<&str> =
        reference.lines().filter_map(|line| line.strip_prefix("| `GET ")?.split('`').next()).collect();
    assert!(endpoints.len() >= 4, "{endpoints:?}");
    for endpoint in endpoints {
        assert_eq!(bridge.ops_get(endpoint).0, 200, "{endpoint}");
    }
}

#[test]
fn the_readme_shows_the_record_of_the_vendors_sample() {
    let readme = document("README.md");
    let sample: Value = serde_json::from_str(blocks(&readme, "json")[0]).unwrap();
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let text = |name: &str| sample[name].as_str().unwrap();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged(text("official_account"), &[text("msg_key")]);
    bridge.wait_published();
    let record: Value = kafka.records()[0].value.clone();
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&record), names(&sample));
    assert_eq!(record["message_sent_at"], sample["message_sent_at"]);
    let id = event_id(sample["sdk_app_id"].as_u64().unwrap(), text("official_account"), text("msg_key"));
    assert_eq!(id.to_string(), text("event_id"));
}

#[test]
fn the_reference_of_outcomes_shows_the_response_to_a_wrong_token() {
    let bridge = Setup::new("127.0.0.1:1").start();
    let sender = Sender::new(&bridge.url(), APP, "a token that was changed in the console");
    let query = signed_query(APP, "a token that was changed in the console");
    let answer = sender.post(&query, recall_body("#TOA#_1", &["1_1_1"]));
    assert_eq!(answer.text, blocks(&document("docs/outcomes.md"), "json")[0].trim_end());
}

/// As `docs/consumers.md` says: a broker to develop a consumer against.
#[test]
fn the_demo_that_keeps_running_is_a_broker_for_consumer_groups() {
    let setup = ["BRIDGE_APPS", "BRIDGE_SPOOL_DIR", "BRIDGE_TOPIC", "KAFKA_BOOTSTRAP_SERVERS"]
        .into_iter()
        .fold(Setup::new("unused:1"), Setup::without);
    let mut demo = setup.launch(&["demo", "--keep-running"]);
    let tail = eventually("the demo prints how to look", || {
        demo.stdout_lines().into_iter().find(|line| line.contains("KAFKA_BOOTSTRAP_SERVERS="))
    });
    let said = demo.stdout_lines();
    let broker = tail.trim().strip_prefix("KAFKA_BOOTSTRAP_SERVERS=").unwrap().split(' ').next().unwrap();

    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", broker).set("group.id", "mine").set("auto.offset.reset", "earliest");
    let consumer: BaseConsumer = client.set("enable.auto.commit", "false").create().unwrap();
    consumer.subscribe(&["official-account.recalls"]).unwrap();
    let mut seen = BTreeSet::new();
    let mut read = || {
        if let Some(record) = consumer.poll(Duration::from_millis(100)) {
            seen.insert((record.as_ref().unwrap().partition(), record.as_ref().unwrap().offset()));
            consumer.commit_message(&record.unwrap(), CommitMode::Sync).unwrap();
        }
        seen.len()
    };
    eventually("a group reads what the demo has sent", || (read() >= 39).then_some(()));
    let before = read();

    let send = said.iter().find_map(|line| line.trim().strip_prefix("recall-bridge send")).unwrap();
    let arguments: Vec<&str> = std::iter::once("send").chain(send.split_whitespace()).collect();
    expect(&setup.run(&arguments), 0);
    eventually("the group reads what `send` has sent", || (read() >= before + 100).then_some(()));
    demo.signal(Signal::INT);
    assert_eq!(demo.wait_exit(PATIENCE), 0);
}

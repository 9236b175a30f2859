//! Tests of the output of commands: no control characters, and no panic with any stdout and stderr.

use std::fs::File;
use std::process::{Output, Stdio};

use recall_bridge::escape;
use serde_json::Value;

use crate::bridge::{APP, Setup, TOKEN};
use crate::cli::{expect, malformed, stderr, stdout, stop};
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::Sender;

/// All unsafe characters.
const EVIL: &str = "a\u{1b}[2J\r\n\u{7f}\u{85}\u{9b}31m\u{202e}\u{2066}\u{2028}\u{200b}\u{feff}z";

/// Every command with output, in an environment in which it succeeds.
fn commands(url: &str) -> Vec<Vec<String>> {
    let signed = crate::sender::query_at(APP, TOKEN, recall_bridge::events::RECALL_COMMAND, 1_700_000_000);
    let explain = format!("http://h/?{signed}");
    let send = format!("send --url {url} --app {APP} --token {TOKEN} --count 1 --connections 1");
    let simple = [
        "--help",
        "--version",
        "tail --help",
        "completions bash",
        "check-config --offline",
        "check-config --offline --json",
        "health",
        "top --once",
        "top --once --json",
        "spool status",
        "spool status --json",
        "spool verify",
        "quarantine list",
        "quarantine list --json",
        "quarantine show 1",
        "quarantine export",
        "refused list",
        "refused list --json",
        "tail --from beginning --until-end",
        "tail --from beginning --until-end --json",
        send.as_str(),
    ];
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut commands: Vec<Vec<String>> = simple.into_iter().map(words).collect();
    commands.push(["explain", "--at", "1700000000", "--url", &explain].map(str::to_owned).to_vec());
    commands
}

fn run(setup: &Setup, args: &[String], out: impl Into<Stdio>) -> Output {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let child = setup.command(&args).stdout(out).stderr(Stdio::piped()).start().unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn a_full_stdout_is_an_error_and_a_closed_stdout_is_not() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    assert_ne!(malformed(&bridge, "{"), 0);
    bridge.wait_published();
    let setup = bridge.setup().clone().env("BRIDGE_OPS_LISTEN", bridge.ops_address());
    for args in commands(&bridge.url()) {
        let full = run(&setup, &args, File::options().write(true).open("/dev/full").unwrap());
        let said = stderr(&full);
        assert!(matches!(full.status.code(), Some(1 | 75)), "{args:?}: {full:?}");
        assert!(said.contains("could not be written") && !said.contains("panicked"), "{args:?}: {said}");

        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = run(&setup, &args, writer);
        assert_eq!(closed.status.code(), Some(0), "{args:?}: {closed:?}");
        assert!(!stderr(&closed).contains("panicked"), "{args:?}: {closed:?}");

        let nothing_open = setup.clone().inside(&["/bin/sh", "-c", "exec \"$0\" \"$@\" 0<&- 1>&- 2>&-"]);
        let closed = run(&nothing_open, &args, Stdio::null());
        assert_eq!(closed.status.code(), Some(0), "{args:?}: {closed:?}");
    }
}

#[test]
fn an_error_keeps_its_exit_code_if_stderr_is_full_or_closed() {
    let setup = Setup::new("127.0.0.1:1").env("BRIDGE_TOPICS", "x");
    for close in ["2>/dev/full", "2>&-", "0<&- 1>&- 2>&-", "1>/dev/full 2>/dev/full"] {
        let line = format!("exec \"$0\" \"$@\" {close}");
        for command in ["serve", "check-config", "tail"] {
            let output = setup.clone().inside(&["/bin/sh", "-c", &line]).run(&[command]);
            assert_eq!(output.status.code(), Some(78), "{command} {close}: {output:?}");
        }
    }
}

#[test]
fn a_verification_without_output_is_not_a_success() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    bridge.wait_published();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let args = ["tail", "--from", "beginning", "--until-end", "--verify"].map(str::to_owned);
    let output = run(bridge.setup(), &args, writer);
    expect(&output, 1);
    assert!(stderr(&output).contains("nothing is verified"), "{output:?}");
}

#[test]
fn commands_escape_unsafe_characters_and_json_keeps_them() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged(EVIL, &[EVIL]);
    let body = serde_json::json!({ "Official_Account": EVIL, "WithdrawMsgList": 7 }).to_string();
    assert_ne!(malformed(&bridge, body.clone()), 0);
    bridge.wait_published();
    let setup = bridge.setup().clone();
    let file = setup.home().join("body");
    let whole = crate::sender::recall_body(EVIL, &[EVIL]);
    std::fs::write(&file, whole).unwrap();
    let explain = format!("http://h/?{}", crate::sender::signed_query(APP, TOKEN));
    let evil_url = format!("http://h/?SdkAppid={APP}&CallbackCommand=%1B%5B2J%E2%80%AE&OptPlatform=%C2%9B");
    let file = file.display().to_string();
    stop(&mut bridge);
    let outputs = [
        setup.run(&["tail", "--from", "beginning", "--until-end"]),
        setup.run(&["tail", "--from", "beginning", "--until-end", "--json"]),
        setup.run(&["tail", "--from", "beginning", "--until-end", "--verify"]),
        setup.run(&["explain", "--url", &explain, "--body", &file]),
        setup.run(&["explain", "--url", &explain, "--body", &file, "--json"]),
        setup.run(&["quarantine", "list"]),
        setup.run(&["quarantine", "list", "--json"]),
        setup.run(&["quarantine", "show", "1"]),
        setup.run(&["quarantine", "show", "1", "--json"]),
        setup.run(&["quarantine", "export"]),
        setup.run(&["quarantine", "drop", "--account", EVIL]),
        setup.run(&["spool", "status"]),
        setup.run(&["spool", "verify"]),
        setup.run(&["refused", "list"]),
        setup.run(&["refused", "list", "--json"]),
        setup.run(&["refused", "replay", "--account", EVIL]),
    ];
    let refused = [setup.run(&["explain", "--url", &evil_url]), setup.run(&["explain", "--refused", "1"])];
    for (output, code) in outputs.iter().map(|output| (output, 0)).chain(refused.iter().map(|output| (output, 1))) {
        expect(output, code);
        for text in [stdout(output), stderr(output)] {
            let bad = text.chars().find(|letter| *letter != '\n' && escape::is_unsafe(*letter));
            assert_eq!(bad, None, "{text}");
        }
    }
    let record: Value = serde_json::from_str(&stdout(&outputs[1])).unwrap();
    assert_eq!((&record["key"], &record["value"]["msg_key"]), (&EVIL.into(), &EVIL.into()));
    let kept: Value = serde_json::from_str(&stdout(&outputs[9])).unwrap();
    assert_eq!(kept["body"], body.as_str());
}

//! Distinctive secrets pass through every error with the most detailed log, and must not occur in any output.

use std::fmt::Write as _;
use std::process::Output;

use recall_bridge::events::RECALL_COMMAND;
use recall_bridge::webhook::Token;
use rustix::process::Signal;

use crate::bridge::{APP, PATIENCE, Setup, eventually};
use crate::cli::{stderr, stdout};
use crate::mock::Kafka;
use crate::pki::{Authority, client, write};
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};
use crate::tls::{https, with_tls};

const TOKENS: [&str; 2] = ["t0ken-0ne-c0ffee17", "t0ken-tw0-deadbee5"];
const FAULTY: &str = "t0ken-of-a-faulty-entry-51";
const SASL: &str = "sas1-pa55-4b1d7e";
const KEY_PASSWORD: &str = "key-pa55-99ef21";

/// Everything that came out, and what must not be in it.
#[derive(Default)]
struct Search {
    secrets: Vec<String>,
    found: String,
}

impl Search {
    fn take(&mut self, text: &str) {
        self.found.write_str(text).unwrap();
        self.found.push('\n');
    }

    fn run(&mut self, setup: &Setup, code: i32, args: &[&str]) {
        let output: Output = setup.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {output:?}");
        self.take(&stdout(&output));
        self.take(&stderr(&output));
    }

    /// A `Sign` that the bridge expects at this time.
    fn hide_sign(&mut self, request_time: i64) {
        self.secrets.extend(TOKENS.map(|token| token.parse::<Token>().unwrap().sign(&request_time.to_string())));
    }

    #[track_caller]
    fn assert_clean(&self) {
        for secret in &self.secrets {
            let at = self.found.find(secret);
            let near = at.map(|at| self.found.get(at.saturating_sub(200)..at));
            assert!(at.is_none(), "{secret} came out, behind {near:?}");
        }
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "one walk past everything that says something")]
fn no_error_shows_a_secret_or_a_sign() {
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let identity = authority.issue("bridge", &["127.0.0.1"]);
    let mut search = Search::default();
    search.secrets.extend([TOKENS[0], TOKENS[1], FAULTY, SASL, KEY_PASSWORD].map(str::to_owned));
    search.secrets.extend(identity.key.lines().filter(|line| !line.starts_with('-')).map(str::to_owned));

    let setup = with_tls(&kafka.setup(), &identity);
    let file = |name: &str, text: &str| write(setup.home(), name, text).display().to_string();
    let setup = setup
        .clone()
        .without("BRIDGE_APPS")
        .env("BRIDGE_APPS_FILE", file("apps", &format!("{APP}:{}|{}\n", TOKENS[0], TOKENS[1])))
        .env("KAFKA_SASL_USERNAME", "bridge")
        .env("KAFKA_SASL_PASSWORD_FILE", file("password", SASL))
        .env("KAFKA_SSL_KEY_PASSWORD_FILE", file("key-password", KEY_PASSWORD))
        .env("KAFKA_DEBUG", "all")
        .env("BRIDGE_LOG", "trace");
    let mut bridge = setup.start();
    let sender = Sender::secure(&https(&bridge), APP, TOKENS[0], &client(&authority, None));

    // Right, forged, stale, malformed, without a recall, unknown: each with a Sign that would be right.
    let now = unix_now();
    (now - 2..now + 60).chain(now - 3602..now - 3540).for_each(|time| search.hide_sign(time));
    let good = signed_query(APP, TOKENS[1]);
    let forged = query_at(APP, "another-token", RECALL_COMMAND, now);
    let stale = query_at(APP, TOKENS[0], RECALL_COMMAND, now - 3600);
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    let twice = format!("{good}&Sign=00");
    for (query, body, is_ok) in [
        (good.as_str(), body.as_str(), true),
        (&forged, &body, false),
        (&stale, &body, false),
        (&good, "{", false),
        (&good, "{}", false),
        (&twice, &body, false),
        (&good.replace(&APP.to_string(), "7"), &body, false),
        (&good.replace("SdkAppid", "Sdk"), &body, false),
    ] {
        let answer = sender.post(query, body.to_owned());
        assert_eq!(answer.is_ok(), is_ok, "{query}: {answer:?}");
        search.take(&format!("{answer:?}"));
    }

    for (name, text) in
        [("apps", format!("{APP}:{FAULTY}|\n{FAULTY}:{FAULTY}\n")), ("bridge.key", identity.key.replace('E', "!"))]
    {
        write(setup.home(), name, &text);
    }
    bridge.process.signal(Signal::HUP);
    bridge.process.wait_for_line("SIGHUP: apps not changed");
    bridge.process.wait_for_line("SIGHUP: certificates not changed");
    search.run(&setup, 78, &["check-config"]);
    search.run(&setup, 78, &["serve"]);
    write(setup.home(), "apps", &format!("{APP}:{}|{}\n", TOKENS[0], TOKENS[1]));
    identity.write(setup.home(), "bridge");

    for args in [
        ["check-config"].as_slice(),
        &["check-config", "--json"],
        &["quarantine", "list"],
        &["quarantine", "list", "--json"],
        &["quarantine", "show", "1"],
        &["quarantine", "export"],
        &["spool", "status"],
        &["spool", "export"],
        &["tail", "--from", "beginning", "--count", "1"],
        &["refused", "list"],
        &["refused", "list", "--json"],
    ] {
        // What was asked for by its Sign may be named by it nowhere else.
        search.run(&setup, 0, args);
    }
    for args in [
        ["explain", "--url", &format!("http://bridge/?{forged}")].as_slice(),
        &["explain", "--json", "--url", &format!("http://bridge/?{stale}")],
        &["explain", "--refused", "1"],
    ] {
        search.run(&setup, 1, args);
    }
    let both = setup.clone().env("BRIDGE_APPS", format!("{APP}:{}", TOKENS[0]));
    search.run(&both, 78, &["serve"]);
    let broken = setup.clone().without("BRIDGE_APPS_FILE").env("BRIDGE_APPS", format!("{FAULTY}:{FAULTY}"));
    search.run(&broken.env("KAFKA_SASL_PASSWORD", SASL), 78, &["check-config"]);
    let url = https(&bridge);
    let token = file("token", TOKENS[0]);
    let ca = file("authority.crt", &authority.pem());
    let sent = setup.launch(&[
        "send",
        "--url",
        &url,
        "--app",
        &APP.to_string(),
        "--token-file",
        &token,
        "--ca",
        &ca,
        "--count",
        "3",
    ]);
    search.take(&std::fs::read_to_string(format!("/proc/{}/cmdline", sent.pid())).unwrap());
    let sent = sent.output();
    assert!(sent.status.success(), "{sent:?}");

    kafka.down();
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
    eventually("Kafka is missed", || (bridge.status()["kafka"]["state"] == "failing").then_some(()));
    for path in ["/livez", "/readyz", "/status", "/metrics"] {
        search.take(&bridge.ops_get(path).1);
    }
    for name in ["cmdline", "comm"] {
        search.take(&std::fs::read_to_string(format!("/proc/{}/{name}", bridge.process.pid())).unwrap());
    }
    kafka.up();
    bridge.wait_published();
    bridge.process.signal(Signal::TERM);
    assert_eq!(bridge.process.wait_exit(PATIENCE), 0);
    search.take(&bridge.process.stdout_lines().join("\n"));
    search.take(&bridge.process.log_lines().join("\n"));

    // The search had something to search in.
    for there in [
        "bad_sign",
        "\"target\":\"librdkafka\"",
        "\"level\":\"TRACE\"",
        "quarantine",
        "recall_bridge_kafka_up",
        "serve",
    ] {
        assert!(search.found.contains(there), "{there} is not there");
    }
    search.assert_clean();
}

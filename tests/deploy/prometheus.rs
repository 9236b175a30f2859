//! A real Prometheus scrapes a real bridge, executes every query of the dashboard, evaluates every rule, and alerts.
//! Needs `prometheus` on the PATH (Debian package `prometheus`).

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use recall_bridge::events::RECALL_COMMAND;
use serde_json::Value;
use tempfile::TempDir;

use crate::bridge::{APP, Bridge, PATIENCE, Process, TOKEN, eventually};
use crate::dashboard;
use crate::get::get;
use crate::mock::Kafka;
use crate::process::Start as _;
use crate::sender::{Sender, query_at, recall_body, signed_query, unix_now};

const RULES: &str = include_str!("../../deploy/prometheus/rules/recall-bridge.rules.yml");
/// The label `instance`. It stays the same when the bridge's port changes.
const NODE: &str = "node-1";
const SCRAPE: Duration = Duration::from_millis(500);

struct Prometheus {
    home: TempDir,
    address: String,
    _process: Process,
}

impl Prometheus {
    /// Starts a Prometheus with the rules of `deploy/`, but every alert fires after 1 s.
    fn start(bridge: &Bridge) -> Self {
        let home = TempDir::with_prefix("prometheus-").unwrap();
        let rules = RULES.lines().map(|line| match line.split_once("for: ") {
            Some((before, _)) if before.trim().is_empty() => format!("{before}for: 1s\n"),
            _ => format!("{line}\n"),
        });
        std::fs::write(home.path().join("rules.yml"), rules.collect::<String>()).unwrap();
        let every = format!("{}ms", SCRAPE.as_millis());
        let config = format!(
            "global: {{scrape_interval: {every}, scrape_timeout: {every}, evaluation_interval: {every}}}\n\
            rule_files: [rules.yml]\n\
            scrape_configs: [{{job_name: recall-bridge, file_sd_configs: [{{files: [targets.json]}}]}}]\n"
        );
        std::fs::write(home.path().join("prometheus.yml"), config).unwrap();
        watch(&home, bridge);
        let mut command = Command::new("prometheus");
        command.args(["--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.format=json"]);
        command.args(["--web.listen-address=127.0.0.1:0"]).current_dir(home.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).start();
        let process = Process::watch(child.expect("prometheus is installed: apt-get install prometheus"));
        let address = eventually("Prometheus listens", || {
            let lines = process.log_lines();
            let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let mut address = lines.filter(|line| line["msg"] == "Listening on").map(|line| line["address"].clone());
            address.next().and_then(|address| address.as_str().map(str::to_owned))
        });
        let prometheus = Self { home, address, _process: process };
        eventually("Prometheus is ready", || {
            get(&prometheus.address, "/-/ready").is_ok_and(|(status, _)| status == 200).then_some(())
        });
        prometheus
    }

    /// Returns `data` of the response. Panics if the response is an error.
    #[track_caller]
    fn data(&self, path: &str) -> Value {
        let (status, text) = get(&self.address, path).expect("an answer");
        let mut answer: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {status} {text}"));
        assert_eq!((status, &answer["status"]), (200, &Value::from("success")), "{path}: {text}");
        answer["data"].take()
    }

    /// Returns the series of an instant query as labels and value.
    #[track_caller]
    fn query(&self, expr: &str) -> Vec<(Value, f64)> {
        let data = self.data(&format!("/api/v1/query?query={}", utf8_percent_encode(expr, NON_ALPHANUMERIC)));
        let series = data["result"].as_array().expect("a vector");
        let value = |one: &Value| one["value"][1].as_str().unwrap().parse().unwrap();
        series.iter().map(|one| (one["metric"].clone(), value(one))).collect()
    }

    fn alerts(&self, state: &str) -> BTreeSet<String> {
        let found = self.query(&format!("ALERTS{{alertstate=\"{state}\"}}"));
        found.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn wait_firing(&self, alerts: &[&str]) {
        eventually(&format!("{alerts:?} fire"), || {
            let firing = self.alerts("firing");
            alerts.iter().all(|alert| firing.contains(*alert)).then_some(())
        });
    }
}

/// Writes the bridge's current address to the file that Prometheus watches.
fn watch(home: &TempDir, bridge: &Bridge) {
    let text = serde_json::json!([{ "targets": [bridge.ops_address()], "labels": { "instance": NODE } }]);
    let (new, path) = (home.path().join("targets.new"), home.path().join("targets.json"));
    std::fs::write(&new, text.to_string()).unwrap();
    std::fs::rename(new, path).unwrap();
}

/// Replaces the variables of the dashboard, as Grafana does.
fn filled_in(expr: &str) -> String {
    let expr = expr.replace("$__rate_interval", "10s").replace("$__range", "5m").replace("$node", ".*");
    assert!(!expr.contains('$'), "unknown variable: {expr}");
    expr
}

/// Ends the load, also when an assertion fails: the scope waits for the thread of the load.
struct EndOfLoad<'a>(&'a AtomicBool);

impl Drop for EndOfLoad<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

/// Sends one webhook of each kind, repeatedly.
fn load(url: &str, stop: &AtomicBool) {
    let sender = Sender::new(url, APP, TOKEN);
    for number in 0.. {
        if stop.load(SeqCst) {
            return;
        }
        let body = recall_body("#TOA#_1", &[format!("{}_{number}_1", unix_now())]);
        let late = query_at(APP, TOKEN, RECALL_COMMAND, unix_now() - 600);
        let answers = [
            sender.post(&signed_query(APP, TOKEN), body.clone()).is_ok(),
            sender.post(&signed_query(APP, TOKEN), body.clone()).is_ok(),
            sender.post(&signed_query(APP, "wrong"), body.clone()).is_ok(),
            sender.post(&late, body).is_ok(),
            sender.post(&signed_query(APP, TOKEN), "{}").is_ok(),
        ];
        assert_eq!(answers, [true, true, false, false, false]);
    }
}

#[test]
fn a_real_prometheus_answers_every_query_of_the_dashboard_and_alerts() {
    let kafka = Kafka::start();
    // The rule must predict a full spool within its hours, but the load must not fill the spool within this test.
    let setup = kafka.setup().env("BRIDGE_SPOOL_MAX_BYTES", 1 << 26).env("BRIDGE_QUARANTINE_MAX_BYTES", 1 << 28);
    let mut bridge = setup.start();
    let prometheus = Prometheus::start(&bridge);
    eventually("the bridge is scraped", || (!prometheus.query("up == 1").is_empty()).then_some(()));

    // Prometheus sees a restart only if the start time changes. It has a resolution of 1 s.
    let started = bridge.metrics()["process_start_time_seconds"];
    eventually("a second is over", || (unix_now() as f64 > started + 1.0).then_some(()));
    bridge.kill();
    bridge = bridge.restart();
    watch(&prometheus.home, &bridge);
    bridge.wait_published();

    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _end = EndOfLoad(&stop);
        let loaded = scope.spawn(|| load(&bridge.url(), &stop));
        let mut open: BTreeMap<String, String> =
            dashboard::queries().into_iter().map(|(title, expr)| (filled_in(&expr), title)).collect();
        let answered = |open: &mut BTreeMap<String, String>| {
            assert!(!loaded.is_finished(), "the load has failed");
            open.retain(|expr, _| prometheus.query(expr).is_empty());
            open.is_empty()
        };
        eventually("something is published", || {
            answered(&mut open);
            (!prometheus.query("recall_bridge_records_published_total > 20").is_empty()).then_some(())
        });
        kafka.down();
        prometheus.wait_firing(&["RecallBridgeKafkaDown"]);
        let until = Instant::now() + PATIENCE;
        while !answered(&mut open) {
            assert!(Instant::now() < until, "no result: {open:#?}");
            std::thread::sleep(SCRAPE);
        }
        prometheus.wait_firing(&[
            "RecallBridgeQuarantineGrows",
            "RecallBridgeQuarantineNotEmpty",
            "RecallBridgeSpoolFilling",
        ]);
    });

    let rules = prometheus.data("/api/v1/rules");
    let rules: Vec<&Value> =
        rules["groups"].as_array().unwrap().iter().flat_map(|group| group["rules"].as_array().unwrap()).collect();
    assert_eq!(rules.len(), RULES.matches("- record: ").count() + RULES.matches("- alert: ").count());
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        let name = rule["name"].as_str().unwrap();
        if rule["type"] == "recording" {
            assert!(!prometheus.query(name).is_empty(), "{name} has no value");
        }
    }

    kafka.up();
    eventually("Kafka is no longer down", || {
        (!prometheus.alerts("firing").contains("RecallBridgeKafkaDown")).then_some(())
    });
    bridge.kill();
    prometheus.wait_firing(&["RecallBridgeDown"]);
}

#[test]
fn prometheus_pages_for_a_recall_refused_before_the_first_scrape() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    for query in ["", "x=1", "SdkAppid=1&Sign=2", &query_at(APP, "wrong", "C2C.CallbackAfterSendMsg", unix_now())] {
        assert!(!sender.post(query, "{}").is_ok());
    }
    let prometheus = Prometheus::start(&bridge);
    let refused = "recall_bridge:published_command_refused:count30m == 0";
    eventually("the rules see no refused recall", || (!prometheus.query(refused).is_empty()).then_some(()));
    assert!(prometheus.query("sum(recall_bridge_webhooks_total) >= 4").len() == 1);
    drop(prometheus);
    assert!(!sender.post(&signed_query(APP, "wrong"), recall_body("#TOA#_1", &["1_1_1"])).is_ok());
    let prometheus = Prometheus::start(&bridge);
    prometheus.wait_firing(&["RecallBridgeNoneAccepted"]);
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
    eventually("the alert ends with the next accepted webhook", || {
        (!prometheus.alerts("firing").contains("RecallBridgeNoneAccepted")).then_some(())
    });
}

//! A compose project with its own name and free ports. Drop removes it.

use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rdkafka::ClientConfig;
use serde_json::Value;
use test_support::wait::within;
use uuid::Uuid;

use crate::get::get;
use crate::sender::Sender;
use crate::topic::Topic;
use test_support::process::Start as _;

pub const APP: u64 = 1_400_000_001;
const TOPIC: &str = "official-account.recalls";
/// Far longer than any step of the tests needs, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
/// The timeout of one compose command in seconds. It includes the build of the images.
const COMMAND_SECONDS: &str = "3600";
const PORTS: [&str; 6] =
    ["WEBHOOK_PORT", "OPS_PORT", "KAFKA_HOST_PORT", "REDIS_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT"];

/// Waits until `look` returns a value. Panics after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

pub struct Stack {
    compose: Vec<String>,
    env: Vec<(&'static str, String)>,
    token: String,
}

impl Stack {
    /// Prepares the stack, but starts no container.
    pub fn new() -> Self {
        let token = Uuid::new_v4().simple().to_string();
        let project = format!("recall-bridge-test-{}", std::process::id());
        // Each checkout on this machine has its own images. The next run in the same checkout reuses them.
        let tag = Uuid::new_v5(&Uuid::NAMESPACE_URL, env!("CARGO_MANIFEST_DIR").as_bytes()).simple().to_string();
        let mut env = vec![
            ("BRIDGE_APPS", format!("{APP}:{token}")),
            ("BRIDGE_TOPIC", TOPIC.to_owned()),
            ("BUILD_PROFILE", "quick".to_owned()),
            ("WEBHOOK_ADDRESS", "127.0.0.1".to_owned()),
            ("IMAGE_TAG", format!("test-{}", &tag[..8])),
            ("COMPOSE_PROJECT_NAME", project),
        ];
        // Takes all ports at the same time, so that they differ.
        let ports = PORTS.map(|name| (name, TcpListener::bind("127.0.0.1:0").unwrap()));
        env.extend(ports.iter().map(|(name, port)| (*name, port.local_addr().unwrap().port().to_string())));
        Self { compose: compose_command(), env, token }
    }

    fn command(&self, profile: &str, args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        command.arg(COMMAND_SECONDS).args(&self.compose).args(args).current_dir(env!("CARGO_MANIFEST_DIR"));
        command.envs(self.env.iter().map(|(name, value)| (name, value))).env("COMPOSE_PROFILES", profile);
        command.stdin(Stdio::null());
        command
    }

    /// Starts the services that do not run, and waits until they are healthy.
    pub fn up(&self, profile: &str) {
        // Builds one image after the other. In a parallel build, podman compiles the common stages twice.
        for service in ["bridge", "consumer"] {
            let status = self.command(profile, &["build", service]).exit_status().expect("compose starts");
            assert!(status.success(), "build {service}: {status}");
        }
        let status = self.command(profile, &["up", "--build", "--wait"]).exit_status().expect("compose starts");
        assert!(status.success(), "up: {status}");
    }

    /// Removes containers and networks; the volumes stay.
    pub fn down(&self) {
        self.run(&["down"]);
    }

    /// Runs a command that must succeed, and returns its output.
    #[track_caller]
    pub fn run(&self, args: &[&str]) -> String {
        let output = self.output(args);
        assert!(output.status.success(), "{args:?}: {output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    pub fn output(&self, args: &[&str]) -> Output {
        self.command("demo", args).run().expect("compose starts")
    }

    pub fn address(&self, port: &str) -> String {
        let (_, number) = self.env.iter().find(|(name, _)| *name == port).expect("a port of ours");
        format!("127.0.0.1:{number}")
    }

    pub fn sender(&self) -> Sender {
        Sender::new(&format!("http://{}/", self.address("WEBHOOK_PORT")), APP, &self.token)
    }

    pub fn redis(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(format!("redis://{}/", self.address("REDIS_PORT")))?.get_connection()
    }

    /// Returns the topic, as a program on the host reads it.
    pub fn topic(&self) -> Topic {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address("KAFKA_HOST_PORT"));
        Topic::new(&config, TOPIC)
    }

    /// Returns a page, or `None` if the page does not exist or is not JSON.
    pub fn json(&self, port: &str, path: &str) -> Option<Value> {
        let (status, text) = get(&self.address(port), path).ok()?;
        (status == 200).then(|| serde_json::from_str(&text).ok())?
    }

    /// Returns the first value of an instant query.
    pub fn query(&self, expr: &str) -> Option<f64> {
        let path = format!("/api/v1/query?query={}", utf8_percent_encode(expr, NON_ALPHANUMERIC));
        self.json("PROMETHEUS_PORT", &path)?["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for args in [&["ps"][..], &["logs", "--tail", "30"]] {
                let output = self.output(args);
                eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
            }
        }
        let down = self.output(&["down", "-v"]);
        if !std::thread::panicking() {
            assert!(down.status.success(), "{down:?}");
        }
    }
}

fn compose_command() -> Vec<String> {
    if let Ok(named) = std::env::var("COMPOSE") {
        return named.split_whitespace().map(str::to_owned).collect();
    }
    let answers = Command::new("docker").arg("info").run().is_ok_and(|output| output.status.success());
    assert!(answers, "no Docker engine answers, and COMPOSE names no command to use instead of `docker compose`");
    ["docker", "compose"].map(str::to_owned).into()
}

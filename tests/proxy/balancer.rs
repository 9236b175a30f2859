//! A load balancer with its shipped configuration. The tests replace only addresses and log files.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::bridge::eventually;
use crate::process::Start as _;

const HAPROXY: &str = include_str!("../../deploy/haproxy/haproxy.cfg");
const NGINX: &str = include_str!("../../deploy/nginx/recall-bridge.conf");

/// The addresses of a node's webhook listener and operations listener.
#[derive(Debug, Clone, Copy)]
pub struct Node {
    pub webhook: SocketAddr,
    pub ops: SocketAddr,
}

/// A running load balancer. Drop ends it.
pub struct Balancer {
    child: Child,
    address: SocketAddr,
    home: TempDir,
}

impl Balancer {
    pub fn haproxy(nodes: [Node; 2]) -> Self {
        let home = TempDir::with_prefix("haproxy-test-").unwrap();
        let address = free_address();
        let mut config = replaced(HAPROXY, "bind :8080", &format!("bind {address}"));
        // HAProxy logs to a file that the test can read, instead of the system's log.
        config = replaced(&config, "log /dev/log local0", "log stdout format raw local0");
        for (node, shipped) in nodes.iter().zip(["10.0.0.11", "10.0.0.12"]) {
            let ours = format!("{} port {}", node.webhook, node.ops.port());
            config = replaced(&config, &format!("{shipped}:8080 port 9100"), &ours);
        }
        let file = home.path().join("haproxy.cfg");
        std::fs::write(&file, config).unwrap();
        check(Command::new("haproxy").arg("-c").arg("-f").arg(&file));
        Self::start(Command::new("haproxy").arg("-db").arg("-f").arg(&file), address, home)
    }

    pub fn nginx(nodes: [Node; 2]) -> Self {
        let home = TempDir::with_prefix("nginx-test-").unwrap();
        let address = free_address();
        let mut config = replaced(NGINX, "listen 8080;", &format!("listen {address};"));
        for (node, shipped) in nodes.iter().zip(["10.0.0.11:8080", "10.0.0.12:8080"]) {
            config = replaced(&config, shipped, &node.webhook.to_string());
        }
        let logs = format!("{}/", home.path().display());
        for file in ["recall-bridge.log", "recall-bridge.error.log"] {
            config = replaced(&config, &format!("/var/log/nginx/{file}"), &format!("{logs}{file}"));
        }
        std::fs::write(home.path().join("recall-bridge.conf"), config).unwrap();
        std::fs::write(home.path().join("nginx.conf"), around(home.path())).unwrap();
        let nginx = || {
            let mut command = Command::new("nginx");
            command.arg("-p").arg(home.path()).arg("-e").arg(home.path().join("error.log")).args(["-c", "nginx.conf"]);
            command
        };
        check(nginx().arg("-t"));
        Self::start(&mut nginx(), address, home)
    }

    /// Returns the address for webhooks.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Checks that the load balancer's logs contain requests, but no query: anyone who sees a `Sign` can sign for a
    /// minute.
    #[track_caller]
    pub fn assert_no_sign_in_logs(&self) {
        let files = self.home.path().read_dir().unwrap().map(|file| file.unwrap().path());
        let logs = files.filter(|file| file.extension().is_some_and(|extension| extension == "log"));
        let text: String = logs.map(|file| std::fs::read_to_string(file).unwrap()).collect();
        assert!(text.contains("POST /"), "no request is in the logs: {}", &text[..text.len().min(500)]);
        let at = text.find("Sign=").map(|at| &text[at.saturating_sub(200)..at]);
        assert!(at.is_none(), "a Sign is in the logs, behind {at:?}");
    }

    fn start(command: &mut Command, address: SocketAddr, home: TempDir) -> Self {
        let log = File::create(home.path().join("stdout.log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).start();
        let balancer = Self { child: child.expect("the load balancer starts"), address, home };
        eventually("the load balancer listens", || TcpStream::connect(address).ok());
        balancer
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

/// Returns the configuration around the shipped part. It keeps nginx in the foreground, and its files below one
/// directory.
fn around(home: &Path) -> String {
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("    {name}_temp_path {}/{name};\n", home.display()))
        .concat();
    format!(
        "daemon off;\npid {0}/nginx.pid;\nworker_processes 1;\nevents {{ worker_connections 1024; }}\n\
         http {{\n    access_log off;\n{temporary}    include {0}/recall-bridge.conf;\n}}\n",
        home.display()
    )
}

/// Runs the load balancer's own check of its configuration.
#[track_caller]
fn check(command: &mut Command) {
    let output = command.run().expect("Debian's packages haproxy and nginx are installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[track_caller]
fn replaced(config: &str, shipped: &str, ours: &str) -> String {
    assert_eq!(config.matches(shipped).count(), 1, "{shipped}");
    config.replace(shipped, ours)
}

/// Returns a free address, for a process that cannot use port 0 or that must restart at the same address.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

//! A real Redis (Debian package redis-server) with its own port and directory.

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use redis::{Client, Connection};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::Copy;
use crate::broker::free_port;
use crate::process::Start as _;
use crate::wait::until;

pub(super) struct Redis {
    port: u16,
    dir: TempDir,
    server: Option<Child>,
}

impl Redis {
    pub(super) fn start() -> Self {
        let dir = TempDir::with_prefix("bridge-redis-").unwrap();
        let mut redis = Self { port: free_port(), dir, server: None };
        redis.run();
        redis
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// Starts a Redis that writes each command to the disk before it responds. With the default (`everysec`), a killed
    /// Redis can lose removals although it has responded, and show the keys again.
    pub(super) fn run(&mut self) {
        // With this option of setpriv, the kernel kills Redis when the test is killed.
        let server = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "redis-server", "--bind", "127.0.0.1", "--port", &self.port.to_string()])
            .args(["--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir"])
            .arg(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .start()
            .expect("setpriv starts redis-server (Debian packages util-linux, redis-server)");
        self.server = Some(server);
        until("Redis answers", || {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "redis-server (Debian package redis-server) ended: {ended:?}");
            redis::cmd("PING").query::<String>(&mut self.try_connect().ok()?).ok()
        });
    }

    pub(super) fn stop(&mut self) {
        self.end(Signal::TERM);
    }

    pub(super) fn crash(&mut self) {
        self.end(Signal::KILL);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut server) = self.server.take() {
            let _ = kill_process(Pid::from_child(&server), signal);
            let _ = server.wait();
        }
    }

    pub(super) fn keep(&self, copies: &[Copy]) {
        let mut pipe = redis::pipe();
        for copy in copies {
            pipe.cmd("SET").arg(copy.name()).arg("a body").ignore();
        }
        pipe.query::<()>(&mut self.try_connect().unwrap()).unwrap();
    }

    pub(super) fn shown(&self) -> BTreeSet<String> {
        redis::cmd("KEYS").arg("*").query(&mut self.try_connect().unwrap()).unwrap()
    }

    fn try_connect(&self) -> redis::RedisResult<Connection> {
        Client::open(self.url())?.get_connection()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.crash();
    }
}

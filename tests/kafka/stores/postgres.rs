//! A real PostgreSQL (Debian package postgresql) with its own port and directory, and the schema of
//! `examples/archive.sql`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{Permissions, set_permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, geteuid, kill_process};
use tempfile::TempDir;

use super::Copy;
use crate::bridge::APP;
use crate::broker::free_port;
use crate::process::Start as _;
use crate::wait::until;

const SCHEMA: &str = include_str!("../../../examples/archive.sql");

pub(super) struct Postgres {
    port: u16,
    dir: TempDir,
    server: Option<Child>,
}

impl Postgres {
    pub(super) fn start() -> Self {
        let dir = TempDir::with_prefix("bridge-postgres-").unwrap();
        if geteuid().is_root() {
            // PostgreSQL does not run as root. Its own user needs access to its directory.
            set_permissions(dir.path(), Permissions::from_mode(0o711)).unwrap();
            let install = ["-d", "-o", "postgres", "-m", "700"];
            let made = Command::new("install").args(install).arg(dir.path().join("data")).exit_status().unwrap();
            assert!(made.success(), "there is no user postgres (Debian package postgresql)");
        }
        let mut postgres = Self { port: free_port(), dir, server: None };
        let made = postgres
            .program("initdb")
            .args(["--no-sync", "--auth=trust", "--username=archive", "--encoding=UTF8", "--locale=C.UTF-8", "-D"])
            .arg(postgres.data())
            .run()
            .unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        postgres.run();
        postgres.query(SCHEMA);
        postgres
    }

    pub(super) fn url(&self) -> String {
        format!("postgresql://archive@127.0.0.1:{}/postgres", self.port)
    }

    pub(super) fn run(&mut self) {
        let server = self
            .program("postgres")
            .arg("-D")
            .arg(self.data())
            .args(["-p", &self.port.to_string(), "-h", "127.0.0.1", "-k", ""])
            // In these tests only processes crash, not the machine, so fsync is not necessary.
            .args(["-c", "fsync=off", "-c", "shared_buffers=16MB", "-c", "max_connections=20"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .start();
        self.server = Some(server.expect("setpriv starts (Debian package util-linux)"));
        until("PostgreSQL answers", || {
            let ended = self.server.as_mut().unwrap().try_wait().unwrap();
            assert!(ended.is_none(), "postgres ended: {ended:?}");
            self.try_query("SELECT 1").ok()
        });
    }

    /// Ends all sessions, rolls back their transactions, and stops the server.
    pub(super) fn stop(&mut self) {
        self.end(Signal::INT);
    }

    /// Stops the server at once, like a crash. It recovers at its next start.
    pub(super) fn crash(&mut self) {
        self.end(Signal::QUIT);
    }

    fn end(&mut self, signal: Signal) {
        if let Some(mut server) = self.server.take() {
            let _ = kill_process(Pid::from_child(&server), signal);
            let _ = server.wait();
        }
    }

    /// Inserts the messages as the archive's own writer does: in one transaction, with the statement in `archive.sql`.
    pub(super) fn keep(&self, copies: &[Copy]) {
        let mut rows = String::new();
        for Copy { account, msg_key } in copies {
            let comma = if rows.is_empty() { "" } else { "," };
            write!(rows, "{comma}({APP},{},{},'{{}}')", quoted(account), quoted(msg_key)).unwrap();
        }
        self.query(&format!(
            "INSERT INTO messages (sdk_app_id, official_account, msg_key, body) VALUES {rows}
             ON CONFLICT (sdk_app_id, official_account, msg_key) DO UPDATE SET body = excluded.body"
        ));
    }

    pub(super) fn shown(&self) -> BTreeSet<String> {
        let rows = self.query(
            "SELECT coalesce(json_agg('message:' || official_account || ':' || msg_key), '[]') FROM visible_messages",
        );
        serde_json::from_str(&rows).unwrap()
    }

    /// Returns the rows without a header. `|` separates the columns.
    pub(super) fn query(&self, sql: &str) -> String {
        self.try_query(sql).unwrap()
    }

    fn try_query(&self, sql: &str) -> Result<String, String> {
        let mut psql = Command::new("psql")
            .args(["-X", "-q", "-A", "-t", "-1", "-v", "ON_ERROR_STOP=1", "-d", &self.url(), "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .start()
            .expect("psql starts (Debian package postgresql)");
        // Fails if psql cannot connect: it then does not read its input.
        let _ = psql.stdin.take().unwrap().write_all(sql.as_bytes());
        let output = psql.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap().trim_end().to_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Returns the command for a program of PostgreSQL. Debian installs these programs outside the `PATH`. The kernel
    /// kills the program when this test ends.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL"]).current_dir(self.dir.path());
        if geteuid().is_root() {
            command.args(["--reuid=postgres", "--regid=postgres", "--init-groups"]);
        }
        let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
        let installed = versions.map(|version| version.path().join("bin").join(name)).find(|path| path.exists());
        command.arg(installed.unwrap_or_else(|| name.into()));
        command
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.crash();
    }
}

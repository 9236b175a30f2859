//! A browser that executes the commands of a test: Node with `browser.mjs`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::bridge::{Bridge, PATIENCE};
use crate::process::Start as _;

/// The names of the program in different distributions.
const PROGRAMS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

pub struct Browser {
    node: Child,
    /// `None` after the input is closed.
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

/// Returns the directory `target`.
fn target() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(3).unwrap().to_owned()
}

fn chromium() -> PathBuf {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        return named.into();
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = PROGRAMS.iter().flat_map(|name| std::env::split_paths(&path).map(move |dir| dir.join(name)));
    found.into_iter().find(|file| file.is_file()).expect("no Chromium: apt-get install chromium, or set CHROMIUM")
}

impl Browser {
    /// Starts a browser that shows the page of this bridge.
    #[track_caller]
    pub fn on(bridge: &Bridge) -> Self {
        let script = target().join("tools/page/browser.mjs");
        assert!(script.is_file(), "{} is not there: run scripts/page-tools", script.display());
        let mut node = Command::new("node")
            .arg(script)
            .env("CHROMIUM", chromium())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .start()
            .expect("Node starts");
        let (input, output) = (node.stdin.take(), BufReader::new(node.stdout.take().unwrap()));
        let mut browser = Self { node, input, output };
        browser.ask(&json!({ "do": "open", "url": format!("http://{}/", bridge.ops_address()) }));
        browser
    }

    #[track_caller]
    pub fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.input.as_ref().unwrap(), "{command}").expect("the browser runs");
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{command}: the browser ended"));
        assert!(answer["error"].is_null(), "{command}: {}", answer["error"].as_str().unwrap_or_default());
        answer["value"].clone()
    }

    /// Waits until a visible element contains the text.
    #[track_caller]
    pub fn wait(&mut self, selector: &str, text: &str) {
        self.ask(&json!({ "do": "wait", "selector": selector, "text": text }));
    }

    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        self.ask(&json!({ "do": "text", "selector": selector })).as_str().unwrap().to_owned()
    }

    #[track_caller]
    pub fn texts(&mut self, selector: &str) -> Vec<String> {
        let texts = self.ask(&json!({ "do": "texts", "selector": selector }));
        texts.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    pub fn click(&mut self, selector: &str) {
        self.ask(&json!({ "do": "click", "selector": selector }));
    }

    #[track_caller]
    pub fn type_into(&mut self, selector: &str, text: &str) {
        self.ask(&json!({ "do": "type", "selector": selector, "text": text }));
    }

    /// Checks that the page violates no rule of WCAG 2.2 AA in both colour schemes and at both widths, and that it
    /// fits its window.
    #[track_caller]
    pub fn assert_accessible(&mut self) {
        let violations = self.ask(&json!({ "do": "audit" }));
        assert!(violations == json!([]), "{violations:#}");
    }

    /// Checks that no error happened in the browser: of a script, of the policy, or of a request.
    #[track_caller]
    pub fn assert_no_errors(&mut self) {
        let errors = self.ask(&json!({ "do": "errors" }));
        assert!(errors == json!([]), "{errors:#}");
    }

    /// Saves screenshots for people below `target/page`.
    #[track_caller]
    pub fn shots(&mut self, name: &str) {
        let dir = target().join("page");
        std::fs::create_dir_all(&dir).unwrap();
        for (suffix, phone, dark) in [("light", false, false), ("dark", false, true), ("phone", true, false)] {
            let file = dir.join(format!("{name}-{suffix}.png"));
            self.ask(&json!({ "do": "shot", "file": file, "phone": phone, "dark": dark }));
            assert!(Path::new(&file).is_file());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Node ends Chromium when Node's input ends. If Node is killed, Chromium continues.
        self.input = None;
        let until = Instant::now() + PATIENCE;
        while matches!(self.node.try_wait(), Ok(None)) {
            if Instant::now() > until {
                let _ = self.node.kill();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

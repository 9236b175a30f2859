//! The files that a package installs beside the binary: man pages and completions.

use std::collections::BTreeSet;
use std::process::Command;

use crate::bridge::Setup;
use crate::cli::{expect, run, stdout};
use crate::process::Start as _;

const COMMANDS: [&str; 15] = [
    "serve",
    "demo",
    "send",
    "tail",
    "check-config",
    "explain",
    "refused",
    "find",
    "replay",
    "health",
    "spool",
    "quarantine",
    "status",
    "top",
    "completions",
];

#[test]
fn every_command_that_is_shown_has_a_man_page() {
    let setup = Setup::new("unused:1");
    let dir = setup.home().join("man");
    run(&setup, 0, &["man", dir.to_str().unwrap()]);
    let pages: BTreeSet<String> =
        dir.read_dir().unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    let of_spool = ["spool-status", "spool-verify", "spool-export"];
    let of_quarantine = ["list", "show", "requeue", "drop", "export"].map(|command| format!("quarantine-{command}"));
    let of_refused = ["list", "replay"].map(|command| format!("refused-{command}"));
    let names = COMMANDS.into_iter().chain(of_spool).map(str::to_owned).chain(of_quarantine).chain(of_refused);
    let wanted: BTreeSet<String> =
        names.map(|name| format!("recall-bridge-{name}.1")).chain(["recall-bridge.1".to_owned()]).collect();
    assert_eq!(pages, wanted);
    for page in pages {
        let text = std::fs::read_to_string(dir.join(&page)).unwrap();
        assert!(text.contains(".SH NAME") && text.contains(".SH SYNOPSIS"), "{page}: {text}");
        assert!(page == "recall-bridge.1" || text.contains(".SH EXAMPLES\n.nf\n  "), "{page}: {text}");
    }
}

#[test]
fn completions_are_there_for_every_shell_and_know_every_command() {
    let setup = Setup::new("unused:1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = run(&setup, 0, &["completions", shell]);
        for command in COMMANDS {
            assert!(script.contains(command), "{shell} does not know {command}");
        }
    }
}

#[test]
fn bash_completes_a_command_and_its_options() {
    let setup = Setup::new("unused:1");
    let script = setup.home().join("completions.bash");
    std::fs::write(&script, run(&setup, 0, &["completions", "bash"])).unwrap();
    let complete = |words: &str, index: usize| {
        let ask = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={index}; \
             _recall__bridge recall-bridge \"${{COMP_WORDS[{index}]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output = Command::new("bash").args(["--norc", "-c", &ask]).run().unwrap();
        expect(&output, 0);
        stdout(&output).lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(complete("recall-bridge quar", 1), ["quarantine"]);
    assert_eq!(complete("recall-bridge quarantine req", 2), ["requeue"]);
    assert_eq!(complete("recall-bridge tail --ver", 2), ["--verify"]);
}

//! Tests of Ctrl-C during a command: it exits immediately, prints its result so far, and leaves no files.

use rustix::process::Signal;

use crate::bridge::{APP, PATIENCE, Setup, TOKEN, eventually};
use crate::cli::{expect, stderr};
use crate::mock::Kafka;

#[test]
fn an_interrupted_demo_leaves_no_directory_and_fails() {
    let setup = Setup::new("unused:1");
    let temporary = setup.home().join("temporary");
    std::fs::create_dir(&temporary).unwrap();
    let setup = setup.env("TMPDIR", temporary.display());
    let mut demo = setup.launch(&["demo"]);
    eventually("the demo sends", || demo.stdout_lines().iter().any(|line| line.contains("TOA#_")).then_some(()));
    demo.signal(Signal::INT);
    let code = demo.wait_exit(PATIENCE);
    let said = demo.log_lines().concat();
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("nothing is verified"), "{said}");
    assert_eq!(temporary.read_dir().unwrap().count(), 0);
}

#[test]
fn an_interrupted_send_reports_the_sent_webhooks() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let app = APP.to_string();
    let url = bridge.url();
    let args = ["send", "--url", &url, "--app", &app, "--token", TOKEN, "--count", "1000000", "--rate", "1"];
    let mut send = bridge.setup().launch(&args);
    eventually("one is acknowledged", || (bridge.metric("events_accepted_total") > 0.0).then_some(()));
    send.signal(Signal::INT);
    assert_eq!(send.wait_exit(PATIENCE), 0);
    assert!(send.stdout_lines().iter().any(|line| line.contains("200 OK")), "{:?}", send.stdout_lines());
}

#[test]
fn send_requires_a_full_url() {
    for url in ["localhost:8080", "ftp://localhost/", "localhost"] {
        let output = Setup::new("unused:1").run(&["send", "--url", url, "--app", "1"]);
        expect(&output, 2);
        assert!(stderr(&output).contains("http://localhost:8080/"), "{output:?}");
    }
}

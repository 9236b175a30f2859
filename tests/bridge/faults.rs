//! Tests of failed starts: the error text, the exit code, and unchanged data.

use std::net::TcpListener;
use std::process::Output;

use crate::bridge::{APP, Setup, TOKEN};
use crate::mock::Kafka;
use crate::sender::{Sender, signed_query};

/// An address without a broker: the start does not need Kafka.
const NO_KAFKA: &str = "127.0.0.1:1";

fn serve(setup: &Setup) -> (i32, String) {
    let output = setup.run(&["serve"]);
    (output.status.code().unwrap(), text(&output))
}

fn text(output: &Output) -> String {
    [output.stdout.as_slice(), output.stderr.as_slice()].map(String::from_utf8_lossy).concat()
}

#[test]
fn a_port_in_use_is_named_and_exits_with_75() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    for name in ["BRIDGE_LISTEN", "BRIDGE_OPS_LISTEN"] {
        let (code, said) = serve(&Setup::new(NO_KAFKA).env(name, address));
        assert_eq!(code, 75, "{said}");
        assert!(said.contains(name) && said.contains(&address.to_string()), "{said}");
    }
}

#[test]
fn a_locked_spool_exits_with_75_and_names_directory_and_process() {
    let bridge = Setup::new(NO_KAFKA).start();
    let (code, said) = serve(bridge.setup());
    assert_eq!(code, 75, "{said}");
    assert!(said.contains(&bridge.setup().spool_dir().display().to_string()), "{said}");
    assert!(said.contains(&format!("pid {}", bridge.process.pid())), "{said}");
    assert!(said.contains("; stop that process, or set BRIDGE_SPOOL_DIR"), "{said}");
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
}

#[test]
fn an_unusable_spool_directory_exits_with_75() {
    let setup = Setup::new(NO_KAFKA);
    let file = setup.home().join("a-file");
    std::fs::write(&file, "no directory").unwrap();
    for dir in [file.clone(), file.join("below")] {
        let (code, said) = serve(&setup.clone().env("BRIDGE_SPOOL_DIR", dir.display()));
        assert_eq!(code, 75, "{said}");
        assert!(
            said.contains("; set BRIDGE_SPOOL_DIR to a directory") && said.contains(&dir.display().to_string()),
            "{said}"
        );
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"no directory");
}

#[test]
fn a_corrupted_spool_file_exits_with_70_and_stays_unchanged() {
    let setup = Setup::new(NO_KAFKA);
    let file = crate::spool::file(&setup.spool_dir());
    let spoil: [(&str, &dyn Fn()); 5] = [
        ("garbage", &|| std::fs::write(&file, "garbage ".repeat(5000)).unwrap()),
        ("another database", &|| {
            crate::spool::open(&setup.spool_dir())
                .execute_batch("CREATE TABLE other (x); INSERT INTO other VALUES (1)")
                .unwrap();
        }),
        ("a spool of a later release", &|| {
            spool(&setup);
            crate::spool::open(&setup.spool_dir()).execute_batch("PRAGMA user_version = 999").unwrap();
        }),
        ("a spool whose numbers contradict each other", &|| {
            spool(&setup);
            crate::spool::open(&setup.spool_dir()).execute_batch("UPDATE progress SET watermark = 0").unwrap();
        }),
        ("a spool with its table missing", &|| {
            spool(&setup);
            crate::spool::open(&setup.spool_dir()).execute_batch("DROP TABLE event_group").unwrap();
        }),
    ];
    for (what, spoil) in spoil {
        if setup.spool_dir().exists() {
            std::fs::remove_dir_all(setup.spool_dir()).unwrap();
        }
        std::fs::create_dir_all(setup.spool_dir()).unwrap();
        spoil();
        let before = std::fs::read(&file).unwrap();
        let (code, said) = serve(&setup);
        assert_eq!(code, 70, "{what}: {said}");
        assert!(said.contains(&file.display().to_string()), "{what}: {said}");
        assert!(said.contains("move it to another directory"), "{what}: {said}");
        assert!(before == std::fs::read(&file).unwrap(), "{what}: the file was changed");
    }
}

#[test]
fn a_corrupted_row_goes_to_quarantine_and_publishing_continues() {
    let kafka = Kafka::start();
    kafka.down();
    let mut bridge = kafka.setup().start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
    sender.acknowledged("#TOA#_1", &["3_1_1"]);
    bridge.kill();
    let dir = bridge.setup().spool_dir();
    // Flips one bit.
    let mut payload: Vec<u8> = crate::spool::open(&dir)
        .query_row("SELECT payload FROM event_group WHERE first_seq = 2", [], |row| row.get(0))
        .unwrap();
    payload[60] ^= 1;
    let changed = "UPDATE event_group SET payload = ?1 WHERE first_seq = 2";
    assert_eq!(crate::spool::open(&dir).execute(changed, [&payload]).unwrap(), 1);
    kafka.up();
    let mut bridge = bridge.setup().clone().start();
    bridge.wait_published();
    let records = kafka.records();
    let seqs: Vec<u64> = records.iter().map(crate::topic::Record::seq).collect();
    assert_eq!(seqs, [1, 3], "{records:?}");
    assert_eq!(bridge.metric("records_quarantined_total"), 1.0);
    bridge.kill();
    let (reason, detail, body): (String, String, Vec<u8>) = crate::spool::open(&dir)
        .query_row("SELECT reason, detail, body FROM quarantine", [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .unwrap();
    assert_eq!((reason.as_str(), body), ("damaged", payload), "{detail}");
}

/// Creates an intact spool with some events and an empty WAL.
fn spool(setup: &Setup) {
    let mut bridge = setup.clone().env("BRIDGE_SHUTDOWN_GRACE_SECONDS", 0).start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
    bridge.process.signal(rustix::process::Signal::TERM);
    assert_eq!(bridge.process.wait_exit(crate::bridge::PATIENCE), 0);
}

#[test]
fn all_configuration_errors_are_reported_before_the_start() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let setup = Setup::new(NO_KAFKA)
        .env("BRIDGE_LISTEN", taken.local_addr().unwrap())
        .env("BRIDGE_OPS_LISTEN", "nowhere")
        .env("BRIDGE_ACK_TIMEOUT_MS", "2s")
        .env("BRIDGE_SPOOL_MAX_BYTES", 1)
        .env("BRIDGE_DELIVERY", "perhaps")
        .env("BRIDGE_TOPIC", "no topic")
        .env("BRIDGE_TOKENS", "unknown")
        .env("BRIDGE_SPOOL_DIRR", "misspelt")
        .env("KAFKA_TRANSACTIONAL_ID", "ours")
        .env("KAFKA_NO_SUCH_THING", "1")
        .env("BRIDGE_APPS", format!("{APP}:{TOKEN},nonsense:{TOKEN}"));
    let (code, said) = serve(&setup);
    assert_eq!(code, 78, "{said}");
    for name in [
        "BRIDGE_OPS_LISTEN",
        "BRIDGE_ACK_TIMEOUT_MS",
        "BRIDGE_SPOOL_MAX_BYTES",
        "BRIDGE_DELIVERY",
        "BRIDGE_TOPIC",
        "BRIDGE_TOKENS",
        "BRIDGE_SPOOL_DIRR",
        "KAFKA_TRANSACTIONAL_ID",
        "KAFKA_NO_SUCH_THING",
        "BRIDGE_APPS",
    ] {
        assert!(said.lines().any(|line| line.starts_with(&format!("{name}:"))), "{name} is not named: {said}");
    }
    let misspelt = said.lines().find(|line| line.starts_with("BRIDGE_SPOOL_DIRR")).unwrap();
    assert!(misspelt.contains("did you mean BRIDGE_SPOOL_DIR?"), "no suggestion: {misspelt}");
    assert!(!said.contains(TOKEN), "{said}");
    assert!(!said.contains("BRIDGE_LISTEN"), "the taken port was tried: {said}");
    assert!(!setup.spool_dir().exists(), "the spool was made");
}

#[test]
fn missing_required_variables_are_named() {
    let setup = Setup::new(NO_KAFKA).without("BRIDGE_APPS").without("KAFKA_BOOTSTRAP_SERVERS");
    let (code, said) = serve(&setup);
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("BRIDGE_APPS") && said.contains("KAFKA_BOOTSTRAP_SERVERS"), "{said}");
}

#[test]
fn variables_that_kubernetes_injects_for_services_are_ignored() {
    let bridge = Setup::new(NO_KAFKA)
        .env("BRIDGE_SERVICE_HOST", "10.0.0.1")
        .env("BRIDGE_SERVICE_PORT", "8080")
        .env("BRIDGE_SERVICE_PORT_WEBHOOK", "8080")
        .env("BRIDGE_PORT", "tcp://10.0.0.1:8080")
        .env("BRIDGE_PORT_8080_TCP_ADDR", "10.0.0.1")
        .env("KAFKA_SERVICE_HOST", "10.0.0.2")
        .env("KAFKA_PORT_9092_TCP", "tcp://10.0.0.2:9092")
        .start();
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
}

#[test]
fn no_output_contains_a_token_at_any_log_level() {
    let kafka = Kafka::start();
    let password = "kafka-passw0rd";
    let setup = kafka.setup().env("BRIDGE_LOG", "trace").env("KAFKA_SASL_PASSWORD", password);
    let mut bridge = setup.start();
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    let mut said = sender.post(&signed_query(APP, "wrong"), "{}").text;
    said += &sender.post(&signed_query(APP, TOKEN), "{").text;
    bridge.wait_published();
    for path in ["/status", "/metrics", "/readyz", "/livez"] {
        said += &bridge.ops_get(path).1;
    }
    bridge.process.signal(rustix::process::Signal::TERM);
    assert_eq!(bridge.process.wait_exit(crate::bridge::PATIENCE), 0);
    said += &bridge.process.log_lines().concat();
    said += &bridge.process.stdout_lines().concat();
    for command in [&["check-config"][..], &["check-config", "--json"]] {
        said += &text(&setup.run(command));
    }
    for secret in [TOKEN, password] {
        let at = said.find(secret).map(|at| &said[at.saturating_sub(200)..at]);
        assert!(at.is_none(), "a secret is shown behind {at:?}");
    }
    assert_eq!(bridge.process.stdout_lines(), Vec::<String>::new(), "logs go to stderr");
}

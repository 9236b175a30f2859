//! Kafka over TLS: `SASL_SSL` with SCRAM, certificates of broker and client, and errors in each of them. While the
//! error lasts, the bridge accepts and keeps recalls. After the fix, it publishes each of them once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use pkcs8::der::pem::LineEnding;
use pkcs8::{PrivateKeyInfo, SecretDocument};
use tempfile::TempDir;

use crate::bridge::{APP, Bridge, Setup, TOKEN};
use crate::broker::Broker;
use crate::pki::{Authority, Identity, Time, write};
use crate::scene;
use crate::sender::Sender;
use crate::topic::{Record, prove};
use crate::wait::{count, until_drained, until_true};

pub(crate) const PASSWORD: &str = "pa55-of-the-bridge-77d1";
const KEY_PASSWORD: &str = "pa55-of-the-key-90ab";
/// The file with the certificate of the brokers' authority.
const AUTHORITY: &str = "brokers.crt";
const INTERMEDIATE: &str = "intermediate.pem";
const FAILS: &str = "kafka_needs_you";

/// A broker with several TLS listeners, and the authority of its clients.
pub(crate) struct Scene {
    broker: Broker,
    of_clients: Authority,
    dir: TempDir,
}

impl Scene {
    /// Returns the scene that all tests share. Each test has its own topic.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Scene> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    fn start() -> Self {
        let dir = TempDir::with_prefix_in("bridge-tls-", env!("CARGO_TARGET_TMPDIR")).unwrap();
        let (of_broker, of_clients) = (Authority::new("authority of brokers"), Authority::new("authority of clients"));
        let mut map = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        let mut settings = vec![
            ("authorizer.class.name".to_owned(), "org.apache.kafka.metadata.authorizer.StandardAuthorizer".to_owned()),
            ("super.users".to_owned(), "User:ANONYMOUS".to_owned()),
            ("listener.name.scram.sasl.enabled.mechanisms".to_owned(), "SCRAM-SHA-512".to_owned()),
            (
                "listener.name.scram.scram-sha-512.sasl.jaas.config".to_owned(),
                "org.apache.kafka.common.security.scram.ScramLoginModule required;".to_owned(),
            ),
        ];
        let good = of_broker.issue("kafka", &["127.0.0.1"]);
        let between = of_broker.intermediate("intermediate authority of brokers");
        let mut of_intermediate = between.issue("kafka", &["127.0.0.1"]);
        of_intermediate.cert.push_str(&between.pem());
        let listeners = [
            ("INTERMEDIATE", "SSL", of_intermediate),
            ("SCRAM", "SASL_SSL", good.clone()),
            ("MUTUAL", "SSL", good),
            ("EXPIRED", "SSL", of_broker.issue_for("kafka", &["127.0.0.1"], Time::Past)),
            ("ELSEWHERE", "SSL", of_broker.issue("kafka", &["kafka.example.com"])),
        ];
        let clients = write(dir.path(), "clients.pem", &of_clients.pem());
        for (name, protocol, identity) in &listeners {
            write!(map, ",{name}:{protocol}").unwrap();
            let prefix = format!("listener.name.{}.ssl", name.to_lowercase());
            let keys = write(dir.path(), &format!("{name}.pem"), &format!("{}{}", identity.key, identity.cert));
            settings.push((format!("{prefix}.keystore.type"), "PEM".to_owned()));
            settings.push((format!("{prefix}.keystore.location"), keys.display().to_string()));
            settings.push((format!("{prefix}.truststore.type"), "PEM".to_owned()));
            settings.push((format!("{prefix}.truststore.location"), clients.display().to_string()));
            let asks = if *protocol == "SSL" { "required" } else { "none" };
            settings.push((format!("{prefix}.client.auth"), asks.to_owned()));
        }
        settings.push(("listener.security.protocol.map".to_owned(), map));
        let settings: Vec<_> = settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let names = listeners.each_ref().map(|(name, ..)| *name);
        let broker = Broker::start_secured(&names, &settings, &[("bridge", PASSWORD), ("rightful", PASSWORD)]);
        write(dir.path(), AUTHORITY, &of_broker.pem());
        write(dir.path(), INTERMEDIATE, &between.pem());
        Self { broker, of_clients, dir }
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        write(self.dir.path(), name, text)
    }

    /// Creates a topic, and returns a bridge for it that trusts the brokers' authority.
    pub(crate) fn setup(&self, listener: &str, topic: &str) -> Setup {
        self.broker.create_topic(topic, 1, &[]);
        let ca = self.dir.path().join(AUTHORITY);
        self.at(listener, Setup::new("").env("BRIDGE_TOPIC", topic).env("KAFKA_SSL_CA_LOCATION", ca.display()))
    }

    fn at(&self, listener: &str, setup: Setup) -> Setup {
        let protocol = if listener == "SCRAM" { "SASL_SSL" } else { "SSL" };
        scene::quick(setup)
            .env("KAFKA_BOOTSTRAP_SERVERS", self.broker.at(listener))
            .env("KAFKA_SECURITY_PROTOCOL", protocol)
    }

    pub(crate) fn with_password(&self, setup: Setup, (user, password): (&str, &str), file: &str) -> Setup {
        setup
            .env("KAFKA_SASL_MECHANISM", "SCRAM-SHA-512")
            .env("KAFKA_SASL_USERNAME", user)
            .env("KAFKA_SASL_PASSWORD_FILE", self.file(file, &format!("{password}\n")).display())
    }

    /// Gives the user the rights in the table of ACLs in docs/configuration.md.
    pub(crate) fn allow(&self, user: &str, topic: &str) {
        let of_id = ["--transactional-id", "recall-bridge.", "--resource-pattern-type", "prefixed"];
        self.broker.allow(user, &["Write", "Describe"], &of_id);
        self.broker.allow(user, &["Write", "Read", "Describe"], &["--topic", topic]);
    }

    /// Panics unless the topic contains exactly these keys, once and in order.
    #[track_caller]
    pub(crate) fn assert_published(&self, topic: &str, keys: &[&str]) {
        let records = scene::read(&self.broker, topic);
        prove(&records);
        assert_eq!(records.iter().map(Record::msg_key).collect::<Vec<_>>(), keys);
    }
}

fn with_identity(setup: Setup, dir: &Path, name: &str, identity: &Identity) -> Setup {
    let (cert, key) = identity.write(dir, name);
    setup.env("KAFKA_SSL_CERTIFICATE_LOCATION", cert.display()).env("KAFKA_SSL_KEY_LOCATION", key.display())
}

#[track_caller]
fn accept(bridge: &Bridge, key: &str) {
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &[key]);
}

/// Waits until two attempts have failed with this error. Then exactly one log line, the metrics, `/readyz` and
/// `/status` must report it, and the node must still be ready.
#[track_caller]
fn assert_told(bridge: &Bridge, kind: &str, says: &str, waiting: u64) {
    let errors = format!("kafka_errors_total{{kind=\"{kind}\"}}");
    until_true(&format!("{kind} is counted twice"), || count(bridge, &errors) >= 2);
    let lines = bridge.process.log_of(FAILS);
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_eq!(lines[0]["kind"], kind, "{lines:?}");
    let text = lines[0]["error"].as_str().unwrap();
    assert!(text.contains(says), "{text}");
    eprintln!("{kind}: {text}");
    let (status, ready) = bridge.ops_get("/readyz");
    assert_eq!(status, 200, "{ready}");
    for shown in [serde_json::from_str(&ready).unwrap(), bridge.status()] {
        let shown: serde_json::Value = shown;
        assert_eq!(
            (&shown["kafka"]["state"], &shown["kafka"]["last_error"]["kind"]),
            (&"failing".into(), &kind.into())
        );
        assert!(shown["kafka"]["last_error"]["text"].as_str().unwrap().contains(says), "{shown}");
    }
    assert_eq!(count(bridge, "spool_events"), waiting);
}

#[test]
fn scram_over_tls_a_wrong_password_and_missing_rights_lose_nothing() {
    const TOPIC: &str = "scram";
    let scene = Scene::shared();
    let setup = scene.setup("SCRAM", TOPIC);

    let wrong = scene.with_password(setup.clone(), ("bridge", "wr0ng-pa55word"), "wrong");
    let check = wrong.run(&["check-config"]);
    assert_eq!(check.status.code(), Some(75));
    assert!(String::from_utf8_lossy(&check.stderr).contains("invalid credentials"), "{check:?}");
    let mut bridge = wrong.start();
    accept(&bridge, "a");
    assert_told(&bridge, "authentication", "invalid credentials", 1);
    bridge.kill();

    // The password is correct, but the user has no rights. It receives them while the bridge runs.
    let right = scene.with_password(setup, ("bridge", PASSWORD), "right");
    let mut bridge = right.start();
    accept(&bridge, "b");
    assert_told(&bridge, "authorization", "Transactional Id authorization failed", 2);
    scene.allow("bridge", TOPIC);
    until_drained(&bridge);
    until_true("the recovery is reported", || bridge.process.log_of("kafka_recovered").len() == 1);
    accept(&bridge, "c");
    scene::stop(&mut bridge);
    assert_eq!(bridge.process.log_of(FAILS).len(), 1, "{}", bridge.process.tail());
    let check = right.run(&["check-config"]);
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    scene.assert_published(TOPIC, &["a", "b", "c"]);
}

#[test]
fn a_rejected_client_certificate_is_reported_and_a_new_one_is_used() {
    const TOPIC: &str = "mutual";
    let scene = Scene::shared();
    let setup = scene.setup("MUTUAL", TOPIC);
    scene.allow("CN=bridge", TOPIC);
    let dir = setup.home().to_owned();

    let mut bridge = setup.start();
    accept(&bridge, "a");
    assert_told(&bridge, "authentication", "certificate", 1);
    bridge.kill();

    let stranger = Authority::new("stranger").issue("bridge", &[]);
    let mut bridge = with_identity(setup.clone(), &dir, "stranger", &stranger).start();
    accept(&bridge, "b");
    assert_told(&bridge, "authentication", "certificate", 2);
    bridge.kill();

    let expired = scene.of_clients.issue_for("bridge", &[], Time::Past);
    let mut bridge = with_identity(setup, &dir, "bridge", &expired).start();
    accept(&bridge, "c");
    assert_told(&bridge, "authentication", "certificate", 3);
    // The test replaces the files. The next attempt reads the new ones.
    scene.of_clients.issue("bridge", &[]).write(&dir, "bridge");
    until_drained(&bridge);
    accept(&bridge, "d");
    scene::stop(&mut bridge);
    scene.assert_published(TOPIC, &["a", "b", "c", "d"]);
}

#[test]
fn an_encrypted_key_with_its_password_in_a_file_is_taken() {
    const TOPIC: &str = "encrypted-key";
    let scene = Scene::shared();
    let setup = scene.setup("MUTUAL", TOPIC);
    scene.allow("CN=keeper", TOPIC);
    let mut identity = scene.of_clients.issue("keeper", &[]);
    identity.key = encrypted(&identity.key);
    let password = scene.file("key-password", KEY_PASSWORD);
    let dir = setup.home().to_owned();
    let setup = with_identity(setup, &dir, "keeper", &identity);
    let mut bridge = setup.clone().env("KAFKA_SSL_KEY_PASSWORD_FILE", password.display()).start();
    accept(&bridge, "a");
    scene::stop(&mut bridge);
    scene.assert_published(TOPIC, &["a"]);
    let wrong = scene.file("wrong-key-password", "wr0ng-key-pa55");
    let refused = setup.env("KAFKA_SSL_KEY_PASSWORD_FILE", wrong.display()).run(&["serve"]);
    assert_eq!(refused.status.code(), Some(78));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("KAFKA_SSL_KEY") && !said.contains("wr0ng-key-pa55"), "{said}");
}

fn encrypted(key: &str) -> String {
    let (_, key) = SecretDocument::from_pem(key).unwrap();
    let key = PrivateKeyInfo::try_from(key.as_bytes()).unwrap();
    let how = pkcs8::pkcs5::pbes2::Parameters::pbkdf2_sha256_aes256cbc(2048, b"saltsalt", b"sixteen byte ini").unwrap();
    key.encrypt_with_params(how, KEY_PASSWORD)
        .unwrap()
        .to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF)
        .unwrap()
        .to_string()
}

#[test]
fn an_untrusted_broker_certificate_is_reported_and_nothing_is_sent() {
    const TOPIC: &str = "untrusted";
    let scene = Scene::shared();
    let setup = scene.setup("MUTUAL", TOPIC);
    scene.allow("CN=careful", TOPIC);
    let dir = setup.home().to_owned();
    let right = with_identity(setup, &dir, "careful", &scene.of_clients.issue("careful", &[]));
    let stranger = write(&dir, "stranger.crt", &Authority::new("authority of others").pem());
    let namesake = write(&dir, "namesake.crt", &Authority::new("authority of brokers").pem());
    let between = scene.dir.path().join(INTERMEDIATE);
    let trusting = |file: PathBuf| right.clone().env("KAFKA_SSL_CA_LOCATION", file.display());
    let cases = [
        ("a", trusting(stranger), "unable to get local issuer certificate"),
        ("e", trusting(namesake), "certificate signature failure"),
        ("f", scene.at("INTERMEDIATE", trusting(between)), "unable to get issuer certificate"),
        ("g", right.clone().without("KAFKA_SSL_CA_LOCATION"), "unable to get local issuer certificate"),
        ("b", scene.at("EXPIRED", right.clone()), "certificate has expired"),
        ("c", scene.at("ELSEWHERE", right.clone()), "IP address mismatch"),
    ];
    for (waiting, (key, setup, says)) in (1..).zip(cases) {
        let check = setup.run(&["check-config"]);
        assert_eq!(check.status.code(), Some(75));
        assert!(String::from_utf8_lossy(&check.stderr).contains(says), "{check:?}");
        let mut bridge = setup.start();
        accept(&bridge, key);
        assert_told(&bridge, "authentication", says, waiting);
        bridge.kill();
    }
    let mut bridge = right.start();
    accept(&bridge, "d");
    scene::stop(&mut bridge);
    scene.assert_published(TOPIC, &["a", "e", "f", "g", "b", "c", "d"]);
}

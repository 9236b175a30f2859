//! SIGHUP replaces certificates, CAs and tokens without a lost webhook.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use rustix::process::Signal;
use rustls::ClientConfig;

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::mock::Kafka;
use crate::pki::{Authority, Time, client, write};
use crate::raw;
use crate::sender::{Sender, recall_body, signed_query};
use crate::tls::{Secure, connect, https, with_client_ca, with_tls};
use crate::topic::prove;

const READ: &str = "certificates_reloaded";
const KEPT: &str = "reload_refused";

#[track_caller]
fn reload(bridge: &Bridge, message: &str) -> serde_json::Value {
    let before = bridge.process.log_of(message).len();
    bridge.process.signal(Signal::HUP);
    eventually(message, || bridge.process.log_of(message).into_iter().nth(before))
}

fn recall(number: u32) -> (String, String) {
    let body = recall_body("#TOA#_1", &[format!("{number}_1_1")]);
    (raw::head(&signed_query(APP, TOKEN), &format!("Content-Length: {}\r\n", body.len())), body)
}

#[track_caller]
fn deliver(stream: &mut Secure, number: u32) {
    let (head, body) = recall(number);
    stream.write_all(format!("{head}{body}").as_bytes()).unwrap();
    assert_eq!(raw::read_answer(stream).expect("an answer").status, 200);
}

fn is_served(bridge: &Bridge, config: &Arc<ClientConfig>, number: u32) -> bool {
    let mut stream = connect(bridge, config);
    let (head, body) = recall(number);
    stream.write_all(format!("{head}{body}").as_bytes()).is_ok() && raw::read_answer(&mut stream).is_some()
}

#[test]
fn new_connections_get_the_new_certificate_and_old_ones_continue() {
    let kafka = Kafka::start();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let setup = with_tls(&kafka.setup(), &old.issue("old.example.com", &["127.0.0.1"]));
    let bridge = setup.env("BRIDGE_ACK_TIMEOUT_MS", 10_000).start();
    let (by_old, by_new) = (client(&old, None), client(&new, None));
    let (mut kept, mut under_way) = (connect(&bridge, &by_old), connect(&bridge, &by_old));
    deliver(&mut kept, 1);
    let (head, body) = recall(2);
    under_way.write_all(head.replace("\r\n\r\n", "\r\nExpect: 100-continue\r\n\r\n").as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut under_way).expect("leave to go on").status, 100);

    with_tls(bridge.setup(), &new.issue("new.example.com", &["127.0.0.1"]));
    let line = reload(&bridge, READ);
    assert!(line["tls"].as_str().unwrap().contains("CN=new.example.com, valid until"), "{line}");
    assert!(is_served(&bridge, &by_new, 3) && !is_served(&bridge, &by_old, 4));
    under_way.write_all(body.as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut under_way).expect("an answer").status, 200);
    deliver(&mut kept, 5);
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), 4);
}

#[test]
fn new_cas_apply_to_new_connections_of_known_peers_too() {
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let (old, new) = (Authority::new("vendor 1"), Authority::new("vendor 2"));
    let setup = with_tls(&kafka.setup(), &authority.issue("bridge", &["127.0.0.1"]));
    let bridge = with_client_ca(&setup, &old).start();
    let (by_old, by_new) =
        (client(&authority, Some(&old.issue("vendor", &[]))), client(&authority, Some(&new.issue("vendor", &[]))));
    // The same configuration each time: a session that could be resumed would be.
    assert!(is_served(&bridge, &by_old, 1) && is_served(&bridge, &by_old, 2) && !is_served(&bridge, &by_new, 3));
    let mut kept = connect(&bridge, &by_old);
    deliver(&mut kept, 4);
    write(bridge.setup().home(), "clients.crt", &format!("{}{}", new.pem(), old.pem()));
    reload(&bridge, READ);
    assert!(is_served(&bridge, &by_old, 5) && is_served(&bridge, &by_new, 6), "both while they change");
    with_client_ca(bridge.setup(), &new);
    reload(&bridge, READ);
    assert!(!is_served(&bridge, &by_old, 7) && is_served(&bridge, &by_new, 8));
    deliver(&mut kept, 9);
}

#[test]
fn faulty_files_change_nothing_and_are_named_with_the_fix() {
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let (good, other) = (authority.issue("bridge", &["127.0.0.1"]), authority.issue("bridge", &["127.0.0.1"]));
    let bridge = with_tls(&kafka.setup(), &good).start();
    let config = client(&authority, None);
    let home = bridge.setup().home().to_owned();
    let expiry = bridge.metric("tls_certificate_expiry_timestamp_seconds");
    // The moment between a new certificate and its key; a half-written file; none; one of yesterday.
    write(&home, "bridge.crt", &other.cert);
    let line = reload(&bridge, KEPT);
    assert!(line["error"].as_str().unwrap().starts_with("BRIDGE_TLS_KEY: "), "{line}");
    assert!(line["error"].as_str().unwrap().contains("; name the certificate and the key"), "{line}");
    write(&home, "bridge.crt", &good.cert[..good.cert.len() / 2]);
    assert!(reload(&bridge, KEPT)["error"].as_str().unwrap().contains("bridge.crt is not a PEM file"));
    std::fs::remove_file(home.join("bridge.crt")).unwrap();
    assert!(reload(&bridge, KEPT)["error"].as_str().unwrap().contains("bridge.crt cannot be read"));
    authority.issue_for("bridge", &["127.0.0.1"], Time::Past).write(&home, "bridge");
    assert!(reload(&bridge, KEPT)["error"].as_str().unwrap().contains("is not valid now"));
    assert!(is_served(&bridge, &config, 1));
    assert_eq!(bridge.metric("tls_certificate_expiry_timestamp_seconds"), expiry);
    other.write(&home, "bridge");
    reload(&bridge, READ);
    assert!(is_served(&bridge, &config, 2));
}

/// A token goes from old to new in three steps: both, the sender's change, the new one only. What was
/// accepted comes once, and nothing is refused.
#[test]
fn a_token_and_a_certificate_rotate_under_load_without_a_lost_webhook() {
    const OLD: &str = "old-t0ken";
    const NEW: &str = "new-t0ken";
    let kafka = Kafka::start();
    let authority = Authority::new("authority");
    let issue = || authority.issue("bridge", &["127.0.0.1"]);
    let setup = with_tls(&kafka.setup(), &issue());
    let file = write(setup.home(), "apps", &format!("{APP}:{OLD}\n"));
    let bridge = setup.without("BRIDGE_APPS").env("BRIDGE_APPS_FILE", file.display()).start();
    let config = client(&authority, None);
    // 0: the old token; 1: the new one; 2: an end.
    let (phase, sent) = (AtomicUsize::new(0), AtomicU64::new(0));
    // The phase in which each of the senders is.
    let places: [AtomicUsize; 4] = Default::default();
    let more = |what: &str| {
        let enough = sent.load(SeqCst) + 100;
        eventually(what, || (sent.load(SeqCst) >= enough).then_some(()));
    };
    std::thread::scope(|scope| {
        for (nth, place) in places.iter().enumerate() {
            let (url, config, phase, sent) = (https(&bridge), &config, &phase, &sent);
            scope.spawn(move || {
                let senders = [OLD, NEW].map(|token| Sender::secure(&url, APP, token, config));
                for number in 0.. {
                    place.store(phase.load(SeqCst), SeqCst);
                    let Some(sender) = senders.get(place.load(SeqCst)) else { break };
                    sender.acknowledged(&format!("#TOA#_{nth}"), &[format!("{number}_{nth}_1")]);
                    sent.fetch_add(1, SeqCst);
                }
            });
        }
        let rotate = |apps: &str| {
            issue().write(bridge.setup().home(), "bridge");
            write(bridge.setup().home(), "apps", apps);
            reload(&bridge, READ);
        };
        more("webhooks with the old token");
        rotate(&format!("{APP}:{OLD}|{NEW}\n"));
        more("webhooks while both count");
        phase.store(1, SeqCst);
        let all_new = || places.iter().all(|place| place.load(SeqCst) == 1);
        eventually("no sender has the old token any more", || all_new().then_some(()));
        more("webhooks with the new token");
        rotate(&format!("{APP}:{NEW}\n"));
        more("webhooks when the old one is gone");
        phase.store(2, SeqCst);
    });
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len() as u64, sent.load(SeqCst));
    assert_eq!(bridge.metric("webhooks_total{outcome=\"bad_sign\"}"), 0.0);
    assert!(!Sender::secure(&https(&bridge), APP, OLD, &config).recall("#TOA#_1", &["late"]).is_ok());
}

//! Tests of the HTTP listeners: every wait for a peer has a timeout, and every request gets one response and one
//! outcome.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::bridge::{APP, Bridge, TOKEN, eventually};
use crate::faulty_disk::{Action, DATABASE, FaultyDisk, LOG, Rule, call};
use crate::mock::Kafka;
use crate::raw::{self, RawAnswer};
use crate::sender::{recall_body, signed_query};
use crate::topic::{Record, prove};

fn counted(bridge: &Bridge, outcome: &str) -> f64 {
    bridge.metric(&format!("webhooks_total{{outcome=\"{outcome}\"}}"))
}

fn ops(bridge: &Bridge, bytes: &[u8]) -> RawAnswer {
    let mut stream = TcpStream::connect(bridge.ops_address()).unwrap();
    stream.write_all(bytes).unwrap();
    raw::read_answer(&mut stream).expect("an answer")
}

/// Writes bytes, reads one response if one is expected, and waits until the bridge closes the connection.
fn until_closed(bridge: &Bridge, bytes: &[u8]) -> (String, Duration) {
    let mut stream = raw::connect(bridge);
    let began = Instant::now();
    stream.write_all(bytes).unwrap();
    (raw::read_to_close(&mut stream), began.elapsed())
}

#[test]
fn an_invalid_request_is_answered_in_json_and_counted_once() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let requests: [&[u8]; 12] = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1 \r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/3\r\nHost: h\r\n\r\n",
        b"POST /?a=\x01 HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST /?a b HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nHost: i\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
        b"\0",
    ];
    for (before, request) in requests.iter().enumerate() {
        let mut stream = raw::connect(&bridge);
        stream.write_all(request).unwrap();
        let answer = raw::read_answer(&mut stream).expect("an answer");
        let shown = request.escape_ascii();
        assert_eq!((answer.status, answer.code()), (400, 120_014), "{shown}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"), "{shown}");
        assert_eq!(answer.header("connection"), Some("close"), "{shown}");
        #[expect(clippy::cast_precision_loss, reason = "a dozen")]
        let count = (before + 1) as f64;
        assert_eq!(counted(&bridge, "bad_request"), count, "{shown}");
    }
}

#[test]
fn an_authentic_recall_with_raw_bytes_in_its_query_is_accepted() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let odd: [&[u8]; 6] =
        [b"&Name=\xe5\x85\xac", b"&Name=\xb9\xab\xb8\xe6", b"&N=\"<>\\^`{|}", b"&R=100%", b"&\xff", b"&N=#a"];
    for (number, odd) in odd.iter().enumerate() {
        let body = recall_body("#TOA#_1", &[format!("{number}_1_1")]);
        let length = body.len();
        let mut stream = raw::connect(&bridge);
        let head = [b"POST /?", signed_query(APP, TOKEN).as_bytes(), odd, b" HTTP/1.1\r\nHost: h\r\n"].concat();
        stream.write_all(&head).unwrap();
        stream.write_all(format!("Content-Length: {length}\r\n\r\n{body}").as_bytes()).unwrap();
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200, "{}", odd.escape_ascii());
    }
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    assert_eq!(records.len(), odd.len());
}

#[test]
fn slashes_that_mean_nothing_lose_no_recall() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_WEBHOOK_PATH", "/imcallback").start();
    let paths = ["/imcallback", "/imcallback/", "//imcallback", "/imcallback//", "http://h/imcallback/"];
    for (number, path) in paths.iter().enumerate() {
        let request = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &[format!("{number}_1_1")]));
        let answer = raw::exchange(&bridge, &request.replacen("POST /?", &format!("POST {path}?"), 1));
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
    }
    bridge.wait_published();
    assert_eq!(kafka.records().iter().map(Record::msg_key).count(), paths.len());
}

#[test]
fn a_refusal_without_a_valid_sign_reads_no_body_and_ends_the_connection() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let heads = [
        raw::head("SdkAppid=1&CallbackCommand=c", "Content-Length: 60000\r\n"),
        raw::head("", "Content-Length: 60000\r\n"),
        raw::head(&signed_query(APP, "wrong"), "Content-Length: 60000\r\n"),
        raw::head(&signed_query(APP, TOKEN), "Content-Length: 70000\r\n"),
        raw::head("", "Transfer-Encoding: chunked\r\n"),
        raw::head("", "Content-Length: 60000\r\nExpect: 100-continue\r\n"),
        "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n".to_owned(),
        "POST /other HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab".to_owned(),
    ];
    for head in heads {
        let (answer, took) = until_closed(&bridge, head.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 4") && answer.contains("Connection: close"), "{head}: {answer}");
        assert!(took < Duration::from_secs(4), "{head}: {took:?}");
    }
    assert_eq!(counted(&bridge, "timeout") + counted(&bridge, "client_gone"), 0.0);
}

#[test]
fn the_next_request_of_a_connection_has_a_deadline_too() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let whole = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &["1_1_1"]));
    for (rest, answers) in [("P", 2), ("\r\n", 1), ("POST / HTTP/1.1\r\nHost: h\r\n", 2)] {
        let mut stream = raw::connect(&bridge);
        stream.write_all(whole.as_bytes()).unwrap();
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200);
        stream.write_all(rest.as_bytes()).unwrap();
        let began = Instant::now();
        let answered = raw::read_to_close(&mut stream);
        assert_eq!(answered.matches("HTTP/1.1 ").count(), answers - 1, "{rest:?}: {answered}");
        assert!(answered.is_empty() || answered.starts_with("HTTP/1.1 408"), "{rest:?}: {answered}");
        assert!(began.elapsed() < Duration::from_secs(15), "{rest:?}");
    }
    assert_eq!(counted(&bridge, "bad_request"), 2.0);
}

#[test]
fn a_body_that_does_not_come_is_refused_in_time_once_the_sign_is_right() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_ACK_TIMEOUT_MS", 300).start();
    for framing in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let (answer, _) = until_closed(&bridge, raw::head(&signed_query(APP, TOKEN), framing).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 408") && answer.contains("120012"), "{framing}: {answer}");
    }
    assert_eq!(counted(&bridge, "timeout"), 2.0);
}

#[test]
fn chunked_bodies_are_taken_and_broken_ones_are_answered() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    let (first, second) = body.split_at(10);
    let head = |extra: &str| raw::head(&signed_query(APP, TOKEN), &format!("Transfer-Encoding: chunked\r\n{extra}"));
    let chunks = format!("{:x}\r\n{first}\r\n{:X};x=y\r\n{second}\r\n0\r\nT: t\r\n\r\n", first.len(), second.len());
    let mut stream = raw::connect(&bridge);
    for _ in 0..2 {
        stream.write_all(format!("{}{chunks}", head("")).as_bytes()).unwrap();
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200, "the connection is kept");
    }
    for broken in ["zz\r\n", "5\r\nabcdefg\r\n", "5\nabcde\r\n", "-1\r\n"] {
        let (answer, _) = until_closed(&bridge, format!("{}{broken}", head("")).as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("120014"), "{broken:?}: {answer}");
    }
    assert_eq!(counted(&bridge, "bad_request"), 4.0);
}

#[test]
fn an_idle_connection_is_kept_for_the_configured_time() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().env("BRIDGE_KEEP_ALIVE_SECONDS", 1).start();
    let mut stream = raw::connect(&bridge);
    let request = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &["1_1_1"]));
    for _ in 0..2 {
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200);
    }
    let began = Instant::now();
    assert_eq!(raw::read_to_close(&mut stream), "");
    assert!((900..15_000).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[test]
fn over_the_bound_the_oldest_idle_connection_ends_and_not_the_new_one() {
    let kafka = Kafka::start();
    let setup = kafka.setup().inside(&["/bin/sh", "-c", "ulimit -n 300; exec \"$0\" \"$@\""]);
    let bridge = setup.start();
    let most = bridge.metric("webhook_connections_max");
    assert_eq!(most, 100.0);
    let mut kept = raw::connect(&bridge);
    let request = |key: &str| raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &[key]));
    kept.write_all(request("1_1_1").as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut kept).expect("an answer").status, 200);
    let silent: Vec<TcpStream> = (0..400).map(|_| raw::connect(&bridge)).collect();
    let mut new = raw::connect(&bridge);
    new.write_all(request("2_1_1").as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut new).expect("an answer").status, 200, "the new one");
    kept.write_all(request("3_1_1").as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut kept).expect("an answer").status, 200, "the one that has proven itself");
    assert!(bridge.metric("webhook_connections_evicted_total") >= 300.0);
    eventually("connections are bounded", || (bridge.metric("webhook_connections") <= most).then_some(()));
    assert_eq!(bridge.ops_get("/readyz").0, 200);
    drop(silent);
    eventually("connections are given back", || (bridge.metric("webhook_connections") <= 2.0).then_some(()));
}

#[test]
fn too_few_descriptors_are_an_error_at_the_start() {
    let setup = Kafka::start().setup().env("BRIDGE_WORKERS", 512);
    let output = setup.inside(&["/bin/sh", "-c", "ulimit -n 1024; exec \"$0\" \"$@\""]).run(&["serve"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(75), "{text}");
    assert!(text.contains("BRIDGE_WORKERS") && text.contains("ulimit -n"), "{text}");
}

#[test]
fn after_the_signal_to_stop_webhooks_are_answered_with_503_for_a_moment() {
    let kafka = Kafka::start();
    let mut bridge = kafka.setup().env("BRIDGE_DRAIN_SECONDS", 2).start();
    let request = raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &["1_1_1"]));
    let mut kept = raw::connect(&bridge);
    kept.write_all(request.as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut kept).expect("an answer").status, 200);
    bridge.process.signal(rustix::process::Signal::TERM);
    eventually("it is not ready any more", || (bridge.ops_get("/readyz").0 == 503).then_some(()));
    for stream in [&mut kept, &mut raw::connect(&bridge)] {
        stream.write_all(request.as_bytes()).unwrap();
        let answer = raw::read_answer(stream).expect("an answer");
        assert_eq!((answer.status, answer.code()), (503, 120_003), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    assert_eq!(counted(&bridge, "draining"), 2.0);
    assert_eq!(bridge.process.wait_exit(Duration::from_secs(20)), 0);
}

#[test]
fn the_operations_listener_answers_head_and_options_and_names_its_methods() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    for path in ["/livez", "/readyz", "/status", "/metrics"] {
        let mut stream = TcpStream::connect(bridge.ops_address()).unwrap();
        write!(stream, "HEAD {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("\r\n\r\n"), "{path}: {answer}");
        let options = ops(&bridge, format!("OPTIONS {path} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes());
        assert_eq!((options.status, options.header("allow")), (200, Some("GET, HEAD, OPTIONS")), "{path}");
        let post = ops(&bridge, format!("POST {path} HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n").as_bytes());
        assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{path}");
    }
    assert_eq!(ops(&bridge, b"\x16\x03\x01").status, 400);
}

#[test]
fn a_disk_whose_reads_hang_silences_no_health_check() {
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let bridge = disk.under(kafka.setup()).start();
    disk.set(Rule::all(call::READ | call::SYNC | call::WRITE, DATABASE | LOG, Action::Hang));
    for _ in 0..3 {
        for path in ["/livez", "/readyz", "/metrics", "/status"] {
            let began = Instant::now();
            assert_ne!(bridge.ops_get(path).0, 500, "{path}");
            assert!(began.elapsed() < Duration::from_secs(5), "{path}: {:?}", began.elapsed());
        }
    }
    disk.heal();
}

#[test]
fn the_process_is_alive_before_its_spool_is_open() {
    let kafka = Kafka::start();
    let disk = FaultyDisk::new();
    let setup = disk.under(kafka.setup());
    drop(setup.start());
    disk.set(Rule::all(call::OPEN | call::READ, DATABASE | LOG, Action::Hang));
    // The port is fixed, because the listener's address is logged only after the whole start.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut process = setup.env("BRIDGE_OPS_LISTEN", port).launch(&["serve"]);
    let get = |path: &str| {
        let mut stream = TcpStream::connect(port).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    };
    eventually("it is alive", || get("/livez").filter(|answer| answer.starts_with("HTTP/1.1 200")));
    let ready = get("/readyz").expect("an answer");
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains("starting"), "{ready}");
    process.signal(rustix::process::Signal::TERM);
    assert_eq!(process.wait_exit(Duration::from_secs(20)), 0);
    disk.heal();
}

//! Tests of HTTP connections: normal use by the vendor, and misuse by other peers.

use std::io::Write as _;

use crate::bridge::{APP, PATIENCE, TOKEN, eventually};
use crate::mock::Kafka;
use crate::raw;
use crate::sender::{Sender, recall_body, signed_query};
use crate::topic::{Record, prove};

#[test]
fn pipelined_requests_get_their_responses_in_order() {
    const REQUESTS: usize = 200;
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut stream = raw::connect(&bridge);
    let mut bytes = String::new();
    for number in 0..REQUESTS {
        // Every third request is malformed, which makes the order of the responses visible.
        let key = if number % 3 == 0 { String::new() } else { format!("{number}_1_1") };
        bytes += &raw::request(&signed_query(APP, TOKEN), &recall_body("#TOA#_1", &[key]));
    }
    let mut writer = stream.try_clone().unwrap();
    let writing = std::thread::spawn(move || writer.write_all(bytes.as_bytes()).unwrap());
    for number in 0..REQUESTS {
        let answer = raw::read_answer(&mut stream).unwrap_or_else(|| panic!("no answer {number}"));
        assert_eq!(answer.status, if number % 3 == 0 { 400 } else { 200 }, "{number}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    writing.join().unwrap();
    bridge.wait_published();
    let records = kafka.records();
    prove(&records);
    let keys: Vec<&str> = records.iter().map(Record::msg_key).collect();
    let expected: Vec<String> = (0..REQUESTS).filter(|n| n % 3 != 0).map(|n| format!("{n}_1_1")).collect();
    assert_eq!(keys, expected);
}

#[test]
fn a_request_split_anywhere_is_understood() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    let request = raw::request(&signed_query(APP, TOKEN), &body);
    let head = request.len() - body.len();
    let mut stream = raw::connect(&bridge);
    // The splits are in the request line, in a header, between head and body, and in the body, all on one connection.
    for at in [3, 40, head - 3, head - 1, head, head + 1, request.len() - 1] {
        for part in [&request[..at], &request[at..]] {
            stream.write_all(part.as_bytes()).unwrap();
            stream.flush().unwrap();
        }
        assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200, "split at {at}");
    }
    for byte in request.as_bytes() {
        stream.write_all(&[*byte]).unwrap();
    }
    assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200, "byte by byte");
}

#[test]
fn a_client_that_asks_before_it_sends_its_body_is_served() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let body = recall_body("#TOA#_1", &["1_1_1"]);
    let headers = format!("Content-Length: {}\r\nExpect: 100-continue\r\n", body.len());
    let mut stream = raw::connect(&bridge);
    stream.write_all(raw::head(&signed_query(APP, TOKEN), &headers).as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut stream).expect("leave to go on").status, 100);
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(raw::read_answer(&mut stream).expect("an answer").status, 200);
}

#[test]
fn a_head_without_end_or_sense_is_refused_and_the_bridge_lives() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let oversized = raw::head(&signed_query(APP, TOKEN), &format!("X-Large: {}\r\n", "x".repeat(300_000)));
    let many = "X-Many: x\r\n".repeat(500);
    let requests = [
        oversized,
        raw::head(&signed_query(APP, TOKEN), &many),
        "\u{0}\u{1}\u{2}nonsense\r\n\r\n".to_owned(),
        raw::head("", "Content-Length: abc\r\n"),
        raw::head("", "Content-Length: 1\r\nContent-Length: 2\r\n"),
    ];
    for request in requests {
        let mut stream = raw::connect(&bridge);
        // The bridge may close the connection before it has read all bytes.
        let _ = stream.write_all(request.as_bytes());
        let shown = &request[..request.len().min(60)];
        match raw::read_answer(&mut stream) {
            Some(answer) => assert!((400..500).contains(&answer.status), "{shown}: {answer:?}"),
            None => assert!(request.len() > 100_000, "{shown}: no answer"),
        }
    }
    Sender::new(&bridge.url(), APP, TOKEN).acknowledged("#TOA#_1", &["1_1_1"]);
}

#[test]
fn a_head_that_comes_too_slowly_is_cut_off_while_others_are_served() {
    let kafka = Kafka::start();
    let bridge = kafka.setup().start();
    let mut slow: Vec<_> = (0..50).map(|_| raw::connect(&bridge)).collect();
    for stream in &mut slow {
        stream.write_all(b"POST /?SdkAppid=1 HTTP/1.1\r\nHost: bri").unwrap();
    }
    let sender = Sender::new(&bridge.url(), APP, TOKEN);
    sender.acknowledged("#TOA#_1", &["1_1_1"]);
    let started = std::time::Instant::now();
    for stream in &mut slow {
        let last = raw::read_to_close(stream);
        assert!(last.is_empty() || last.starts_with("HTTP/1.1 408"), "{last}");
    }
    assert!(started.elapsed() < PATIENCE, "they were not cut off");
    sender.acknowledged("#TOA#_1", &["2_1_1"]);
    eventually("the accepted ones are counted", || {
        (bridge.metric("webhooks_total{outcome=\"accepted\"}") > 1.5).then_some(())
    });
}

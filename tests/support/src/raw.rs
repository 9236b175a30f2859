//! Raw HTTP, for requests that no client library sends.

use std::io::{Read, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::bridge::{Bridge, PATIENCE};

/// One response as received.
#[derive(Debug)]
pub struct RawAnswer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl RawAnswer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    pub fn code(&self) -> u64 {
        let body: Value = serde_json::from_str(&self.body).expect("JSON");
        body["ErrorCode"].as_u64().expect("ErrorCode")
    }
}

pub fn connect(bridge: &Bridge) -> TcpStream {
    let stream = TcpStream::connect(bridge.webhook_address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Returns the head of a webhook. `headers` are further lines, each with its line break.
pub fn head(query: &str, headers: &str) -> String {
    format!("POST /?{query} HTTP/1.1\r\nHost: bridge\r\nContent-Type: application/json\r\n{headers}\r\n")
}

/// Returns a complete webhook.
pub fn request(query: &str, body: &str) -> String {
    format!("{}{body}", head(query, &format!("Content-Length: {}\r\n", body.len())))
}

/// Sends bytes on a new connection and reads one response. The connection stays open meanwhile.
#[track_caller]
pub fn exchange(bridge: &Bridge, bytes: &str) -> RawAnswer {
    let mut stream = connect(bridge);
    stream.write_all(bytes.as_bytes()).unwrap();
    read_answer(&mut stream).expect("an answer")
}

/// Reads one response. Returns `None` if the connection ends first.
pub fn read_answer(stream: &mut impl Read) -> Option<RawAnswer> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("a head is text");
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().expect("a status");
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut answer = RawAnswer { status, headers, body: String::new() };
    let length = answer.header("content-length").map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    answer.body = String::from_utf8(body).expect("a body is text");
    Some(answer)
}

/// Reads until the peer closes the connection, and returns whether it did.
pub fn read_to_close(stream: &mut impl Read) -> String {
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    String::from_utf8_lossy(&rest).into_owned()
}

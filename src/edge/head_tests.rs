//! Valid, invalid and incomplete heads.

use proptest::prelude::*;

use super::*;

fn read(bytes: &[u8]) -> Result<Option<Head>, HeadError> {
    Ok(Head::read(bytes)?.map(|(head, _)| head))
}

fn with(headers: &str) -> Result<Option<Head>, HeadError> {
    read(format!("POST /p?q HTTP/1.1\r\nHost: h\r\n{headers}\r\n").as_bytes())
}

#[test]
fn a_target_may_contain_visible_bytes_and_bytes_above_127() {
    for query in [&b"a=\xe5\x85\xac"[..], b"a=\xb9\xab", b"a=\"<>\\^`{|}", b"a=%&b=100%", b"?a=?", b"#TOA#_1"] {
        let head = read(&[b"POST /p?", query, b" HTTP/1.1\r\nHost: h\r\n\r\n"].concat()).unwrap().unwrap();
        assert_eq!((head.path(), head.query()), (&b"/p"[..], query), "{}", query.escape_ascii());
    }
}

#[test]
fn the_absolute_form_of_a_target_has_the_same_path_and_query() {
    for (target, path, query) in [
        ("http://h:80/p?q", "/p", "q"),
        ("https://h?q", "", "q"),
        ("/http://h/p", "/http://h/p", ""),
        ("/p?u=http://h/x", "/p", "u=http://h/x"),
        ("*", "*", ""),
    ] {
        let head = read(format!("POST {target} HTTP/1.1\r\nHost: h\r\n\r\n").as_bytes()).unwrap().unwrap();
        assert_eq!((head.path(), head.query()), (path.as_bytes(), query.as_bytes()), "{target}");
    }
}

#[test]
fn invalid_bytes_are_detected_before_the_head_is_complete() {
    for (bytes, error) in [
        (&b"\x16\x03\x01\x02\x00\x01"[..], HeadError::Tls),
        (b"PRI * HTTP/2.0\r\n", HeadError::Version),
        (b"GET /\r\n", HeadError::RequestLine("it has no version of HTTP")),
        (
            b"GET / a HTTP/1.1\r\n",
            HeadError::RequestLine("the target contains a space or a control character; encode it as %XX"),
        ),
        (
            b"GET /\x7f HTTP/1.1\r\n",
            HeadError::RequestLine("the target contains a space or a control character; encode it as %XX"),
        ),
        (b"\0\x01", HeadError::RequestLine("it does not start with a method")),
        (b"GET / FTP/1.1\r\n", HeadError::RequestLine("it does not end with a version of HTTP")),
    ] {
        assert_eq!(read(bytes).map(|_| ()), Err(error), "{}", bytes.escape_ascii());
    }
}

#[test]
fn contradictory_framing_is_an_error() {
    for headers in [
        "Content-Length: 1\r\nContent-Length: 1\r\n",
        "Content-Length: +1\r\n",
        "Content-Length: 1, 1\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551616\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: identity\r\n",
        "Transfer-Encoding : chunked\r\n",
        "Host: other\r\n",
        " folded: x\r\n",
        "no colon\r\n",
    ] {
        assert!(matches!(with(headers), Err(HeadError::Header(..))), "{headers}");
    }
    assert!(read(b"POST / HTTP/1.1\r\n\r\n").is_err(), "without Host");
    assert!(read(b"POST / HTTP/1.0\r\n\r\n").is_err(), "HTTP/1.0 without a length");
    assert!(read(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").is_err());
}

#[test]
fn the_headers_connection_and_length_are_parsed() {
    let head = with("content-length: 12\r\nconnection: Upgrade, close\r\n").unwrap().unwrap();
    assert_eq!((head.framing, head.keep_alive), (Framing::Length(12), false));
    let head = with("Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n").unwrap().unwrap();
    assert_eq!((head.framing, head.keep_alive, head.expects_continue), (Framing::Chunked, true, true));
    let old = |headers: &str| read(format!("GET / HTTP/1.0\r\n{headers}\r\n").as_bytes()).unwrap().unwrap().keep_alive;
    assert!(!old("") && old("Connection: keep-alive\r\n"));
    assert_eq!(with("traceparent: a\r\n").unwrap().unwrap().traceparent(), Some("a"));
    assert_eq!(with("traceparent: a\r\nTraceparent: b\r\n").unwrap().unwrap().traceparent(), None);
}

#[test]
fn a_head_over_its_limits_is_an_error() {
    assert!(matches!(with(&format!("X: {}\r\n", "x".repeat(MAX_HEAD_BYTES))), Err(HeadError::TooLarge)));
    assert!(matches!(with(&"X: x\r\n".repeat(MAX_HEADERS)), Err(HeadError::TooLarge)));
    assert!(matches!(read("x".repeat(MAX_HEAD_BYTES + 1).as_bytes()), Err(HeadError::TooLarge)));
}

proptest! {
    #[test]
    fn the_end_of_a_head_does_not_depend_on_the_chunks_received(
        lines in prop::collection::vec("[a-zA-Z-]{1,8}: ?[ -~]{0,12}\r?\n", 0..6),
        step in 1_usize..40,
    ) {
        let bytes = format!("POST /p HTTP/1.1\r\n{}\r\nPOST /next HTTP/1.1\r\n\r\n", lines.concat()).into_bytes();
        let whole = Search::default().end(&bytes).unwrap();
        let mut search = Search::default();
        let mut found = None;
        let mut length = 0;
        while found.is_none() {
            length = (length + step).min(bytes.len());
            found = search.end(&bytes[..length]).unwrap();
        }
        prop_assert_eq!(found, whole);
    }

    #[test]
    fn arbitrary_bytes_cause_no_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&[b"POST / HTTP/1.1\r\n", bytes.as_slice(), b"\r\n\r\n"].concat());
    }
}

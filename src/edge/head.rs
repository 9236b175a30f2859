//! Parses the head of a request.
//!
//! The request target may contain any visible byte and any byte above 0x7F: some senders do not encode them, and
//! their meaning is still clear. Framing is parsed strictly (RFC 9112, sections 2 to 6).

use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;

use super::limits::{HEAD_TIMEOUT, MAX_HEAD_BYTES, MAX_HEADERS};

/// The number of headers that are parsed without a large table.
const FEW_HEADERS: usize = 16;

/// The method of a request, as far as the services distinguish it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`.
    Get,
    /// `HEAD`.
    Head,
    /// `POST`.
    Post,
    /// `OPTIONS`.
    Options,
    /// Any other method.
    Other,
}

/// The framing of a body, which determines its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// A number of bytes.
    Length(u64),
    /// The chunked coding.
    Chunked,
}

/// Why the received bytes are not an HTTP request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// A TLS handshake arrived on a port without TLS.
    #[error("request: this is a TLS handshake, and this port speaks plain HTTP; use http://, or set BRIDGE_TLS_CERT")]
    Tls,
    /// Another version of HTTP.
    #[error("request: the version of HTTP is not 1.0 or 1.1; send HTTP/1.1")]
    Version,
    /// The request line is not `METHOD target HTTP/1.1`.
    #[error("request line: {0}")]
    RequestLine(&'static str),
    /// A header is not valid.
    #[error("header {0}: {1}")]
    Header(&'static str, &'static str),
    /// The head is too long.
    #[error("request: the head is over {MAX_HEAD_BYTES} bytes or {MAX_HEADERS} headers")]
    TooLarge,
    /// The listener has no memory left for a head of this length.
    #[error("request: out of memory for a head of this length; send a shorter one")]
    Memory,
    /// The head did not arrive in time.
    #[error("request: the head was not complete after {} s", HEAD_TIMEOUT.as_secs())]
    Slow,
    /// The connection closed inside the head.
    #[error("request: the connection closed inside the head")]
    Broken,
}

/// The head of one request.
#[derive(Debug, Clone)]
pub struct Head {
    raw: Bytes,
    method: Method,
    path: Range<usize>,
    query: Range<usize>,
    traceparent: Option<Range<usize>>,
    peer: Option<std::net::IpAddr>,
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) http_11: bool,
    pub(super) expects_continue: bool,
    received: Instant,
}

impl Head {
    /// Parses the head at the start of the bytes, and returns it with its length. `None` if it is incomplete.
    ///
    /// # Errors
    /// The bytes are not an HTTP request.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let blank = Search::blank(bytes);
        let bytes = bytes.get(blank..).unwrap_or_default();
        let mut search = Search::default();
        let Some(length) = search.end(bytes)? else { return Ok(None) };
        let head = search.parse(Bytes::copy_from_slice(bytes.get(..length).unwrap_or_default()))?;
        Ok(Some((head, blank + length)))
    }

    /// The method.
    pub fn method(&self) -> Method {
        self.method
    }

    /// The path of the target, as sent.
    pub fn path(&self) -> &[u8] {
        self.raw.get(self.path.clone()).unwrap_or_default()
    }

    /// The part after the first `?` of the target, as sent; empty without a `?`.
    pub fn query(&self) -> &[u8] {
        self.raw.get(self.query.clone()).unwrap_or_default()
    }

    /// The header `traceparent`, if the request has exactly one.
    pub fn traceparent(&self) -> Option<&str> {
        std::str::from_utf8(self.raw.get(self.traceparent.clone()?)?).ok()
    }

    /// The address of the peer.
    pub fn peer(&self) -> Option<std::net::IpAddr> {
        self.peer
    }

    /// The time at which the head was complete.
    pub fn received(&self) -> Instant {
        self.received
    }

    /// All bytes of the head.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub(super) fn from(mut self, peer: std::net::IpAddr) -> Self {
        self.peer = Some(peer);
        self
    }
}

/// Searches the end of a head in bytes that arrive step by step.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// The bytes before this index do not contain the end of a head.
    scanned: usize,
    /// The request line, once it is complete, with its length up to the LF.
    line: Option<(Line, usize)>,
}

impl Search {
    /// Returns the length of the empty lines before the head. RFC 9112, section 2.2 lets a server ignore them.
    pub(super) fn blank(buffer: &[u8]) -> usize {
        let blank = buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        // A CR alone may be the first half of a line end.
        if buffer.get(..blank).is_some_and(|bytes| bytes.ends_with(b"\r")) { blank - 1 } else { blank }
    }

    /// Returns the length of the head at the start of the buffer, once it is complete. The buffer does not start with
    /// an empty line ([`Search::blank`]).
    ///
    /// # Errors
    /// The bytes so far cannot become a head.
    pub(super) fn end(&mut self, buffer: &[u8]) -> Result<Option<usize>, HeadError> {
        match buffer {
            [] | [b'\r'] => return Ok(None),
            [0x16, ..] => return Err(HeadError::Tls),
            [first, ..] if !is_token(*first) => {
                return Err(HeadError::RequestLine("it does not start with a method"));
            }
            _ => {}
        }
        if self.line.is_none()
            && let Some(end) = memchr::memchr(b'\n', buffer)
        {
            self.line = Some((request_line(buffer.get(..end).unwrap_or_default())?, end));
        }
        while let Some(at) = memchr::memchr(b'\n', buffer.get(self.scanned..).unwrap_or_default()) {
            let at = self.scanned + at;
            match buffer.get(at + 1..).unwrap_or_default() {
                [b'\n', ..] => return Ok(Some(at + 2)),
                [b'\r', b'\n', ..] => return Ok(Some(at + 3)),
                [] | [b'\r'] => {
                    self.scanned = at;
                    break;
                }
                _ => self.scanned = at + 1,
            }
        }
        if memchr::memchr(b'\n', buffer.get(self.scanned..).unwrap_or_default()).is_none() {
            self.scanned = buffer.len();
        }
        if buffer.len() > MAX_HEAD_BYTES { Err(HeadError::TooLarge) } else { Ok(None) }
    }

    /// Parses the complete head, whose end was found.
    ///
    /// # Errors
    /// The first error of the head.
    pub(super) fn parse(self, raw: Bytes) -> Result<Head, HeadError> {
        if raw.len() > MAX_HEAD_BYTES {
            return Err(HeadError::TooLarge);
        }
        let (line, end) = self.line.ok_or(HeadError::RequestLine("it is not complete"))?;
        let fields = raw.get(end + 1..).unwrap_or_default();
        let mut facts = HeadFacts::default();
        // Nearly every head has few headers; a table for the others costs time to initialize.
        let mut few = [httparse::EMPTY_HEADER; FEW_HEADERS];
        let mut many;
        let fields = match parse_headers(fields, &mut few) {
            Err(HeadError::TooLarge) => {
                many = [httparse::EMPTY_HEADER; MAX_HEADERS];
                parse_headers(fields, &mut many)?
            }
            parsed => parsed?,
        };
        for field in fields {
            facts.take(field, offset(&raw, field.value))?;
        }
        facts.check(&line)?;
        let keep_alive = if line.http_11 { !facts.close } else { facts.keep_alive && !facts.close };
        let framing = if facts.chunked { Framing::Chunked } else { Framing::Length(facts.length.unwrap_or(0)) };
        let (expects_continue, traceparent) = (facts.expects_continue && line.http_11, facts.traceparent);
        let Line { method, path, query, http_11 } = line;
        let received = Instant::now();
        Ok(Head {
            raw,
            method,
            path,
            query,
            traceparent,
            peer: None,
            framing,
            keep_alive,
            http_11,
            expects_continue,
            received,
        })
    }
}

fn parse_headers<'h, 'b>(
    bytes: &'b [u8],
    headers: &'h mut [httparse::Header<'b>],
) -> Result<&'h [httparse::Header<'b>], HeadError> {
    match httparse::parse_headers(bytes, headers) {
        Ok(httparse::Status::Complete((_, headers))) => Ok(headers),
        Err(httparse::Error::TooManyHeaders) => Err(HeadError::TooLarge),
        _ => Err(HeadError::Header("line", "it is not `name: value`")),
    }
}

/// Returns the range of `part` in `whole`, of which it is a subslice.
fn offset(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

#[derive(Debug)]
struct Line {
    method: Method,
    path: Range<usize>,
    query: Range<usize>,
    http_11: bool,
}

/// Parses `METHOD target HTTP/1.1`, with or without a CR at the end.
fn request_line(line: &[u8]) -> Result<Line, HeadError> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let first = memchr::memchr(b' ', line).ok_or(HeadError::RequestLine("it has no target"))?;
    let last = memchr::memrchr(b' ', line).filter(|last| *last > first);
    let last = last.ok_or(HeadError::RequestLine("it has no version of HTTP"))?;
    let part = |range: Range<usize>| line.get(range).unwrap_or_default();
    let http_11 = match part(last + 1..line.len()) {
        b"HTTP/1.1" => true,
        b"HTTP/1.0" => false,
        version if version.starts_with(b"HTTP/") => return Err(HeadError::Version),
        _ => return Err(HeadError::RequestLine("it does not end with a version of HTTP")),
    };
    let name = part(0..first);
    if !name.iter().copied().all(is_token) {
        return Err(HeadError::RequestLine("the method is not a token"));
    }
    let method = match name {
        b"GET" => Method::Get,
        b"HEAD" => Method::Head,
        b"POST" => Method::Post,
        b"OPTIONS" => Method::Options,
        _ => Method::Other,
    };
    let target = part(first + 1..last);
    // Without an early end, the compiler uses vector instructions.
    let is_bad = |byte: u8| byte <= b' ' || byte == 0x7f;
    if target.is_empty() || target.iter().fold(false, |bad, byte| bad | is_bad(*byte)) {
        return Err(HeadError::RequestLine("the target contains a space or a control character; encode it as %XX"));
    }
    let (path, query) = split(target);
    let shift = |range: Range<usize>| range.start + first + 1..range.end + first + 1;
    Ok(Line { method, path: shift(path), query: shift(query), http_11 })
}

/// Returns path and query of a target, which may be in absolute form (RFC 9112, section 3.2.2).
fn split(target: &[u8]) -> (Range<usize>, Range<usize>) {
    let scheme = target.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let start = match target.get(scheme..).unwrap_or_default() {
        [b':', b'/', b'/', ..] => {
            let authority = target.get(scheme + 3..).unwrap_or_default();
            scheme + 3 + authority.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(authority.len())
        }
        _ => 0,
    };
    match memchr::memchr(b'?', target.get(start..).unwrap_or_default()) {
        Some(at) => (start..start + at, start + at + 1..target.len()),
        None => (start..target.len(), target.len()..target.len()),
    }
}

/// The values of the headers about the connection and the body.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is one header")]
struct HeadFacts {
    length: Option<u64>,
    chunked: bool,
    host: bool,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    traceparent: Option<Range<usize>>,
    traceparents: usize,
}

impl HeadFacts {
    fn take(&mut self, field: &httparse::Header<'_>, at: Range<usize>) -> Result<(), HeadError> {
        let value = field.value.trim_ascii();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        match field.name.len() {
            4 if is("host") && self.host => return Err(HeadError::Header("Host", "it is there more than once")),
            4 if is("host") => self.host = true,
            6 if is("expect") => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            10 if is("connection") => {
                for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            11 if is("traceparent") => {
                self.traceparents += 1;
                self.traceparent = (self.traceparents == 1).then_some(at);
            }
            14 if is("content-length") => {
                const NAME: &str = "Content-Length";
                if self.length.is_some() {
                    return Err(HeadError::Header(NAME, "it is there more than once"));
                }
                let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
                let length = std::str::from_utf8(value).ok().filter(|_| digits).and_then(|text| text.parse().ok());
                self.length = Some(length.ok_or(HeadError::Header(NAME, "it is not a number of bytes"))?);
            }
            17 if is("transfer-encoding") => {
                if self.chunked || !value.eq_ignore_ascii_case(b"chunked") {
                    return Err(HeadError::Header("Transfer-Encoding", "only a single `chunked` is supported"));
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks the headers together (RFC 9112, sections 3.2 and 6.3).
    fn check(&self, line: &Line) -> Result<(), HeadError> {
        if line.http_11 && !self.host {
            return Err(HeadError::Header("Host", "it is missing"));
        }
        if self.chunked && self.length.is_some() {
            return Err(HeadError::Header("Transfer-Encoding", "it contradicts Content-Length"));
        }
        if self.chunked && !line.http_11 {
            return Err(HeadError::Header("Transfer-Encoding", "HTTP/1.0 does not support it"));
        }
        if !line.http_11 && line.method == Method::Post && self.length.is_none() {
            return Err(HeadError::Header("Content-Length", "a POST of HTTP/1.0 requires it"));
        }
        Ok(())
    }
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;

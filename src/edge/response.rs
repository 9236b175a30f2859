//! An HTTP response, and its bytes on the wire.

use bytes::Bytes;
use http::StatusCode;

/// The response to one request.
#[derive(Debug, Clone)]
pub struct Response {
    status: StatusCode,
    content_type: String,
    allow: Option<&'static str>,
    headers: Vec<(String, String)>,
    body: Bytes,
    close: bool,
    proven: bool,
}

impl Response {
    /// Creates a response with a body.
    pub fn new(status: StatusCode, content_type: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            content_type: content_type.into(),
            allow: None,
            headers: Vec::new(),
            body: body.into(),
            close: false,
            proven: false,
        }
    }

    /// Replaces the status of [`Response::new`].
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Closes the connection after this response.
    #[must_use]
    pub fn closing(mut self, close: bool) -> Self {
        self.close |= close;
        self
    }

    /// Marks the request as authentic: at the connection limit, its connection is kept longer than others.
    #[must_use]
    pub fn proven(mut self, proven: bool) -> Self {
        self.proven |= proven;
        self
    }

    /// Sets the header `Allow`.
    #[must_use]
    pub fn allowing(mut self, methods: &'static str) -> Self {
        self.allow = Some(methods);
        self
    }

    /// Adds a header. The layer itself writes the headers of the connection, the length and the type.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn closes(&self) -> bool {
        self.close
    }

    pub(super) fn is_proven(&self) -> bool {
        self.proven
    }

    /// Returns the bytes of the response, without the body if the request was a `HEAD`.
    pub(super) fn encode(&self, close: bool, http_11: bool, without_body: bool) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160 + self.body.len());
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        put(&["HTTP/1.1 ", self.status.as_str(), " ", self.status.canonical_reason().unwrap_or_default(), "\r\n"]);
        put(&["Content-Type: ", &self.content_type, "\r\nContent-Length: ", &self.body.len().to_string(), "\r\n"]);
        if let Some(methods) = self.allow {
            put(&["Allow: ", methods, "\r\n"]);
        }
        for (name, value) in &self.headers {
            put(&[name, ": ", value, "\r\n"]);
        }
        if close {
            put(&["Connection: close\r\n"]);
        } else if !http_11 {
            put(&["Connection: keep-alive\r\n"]);
        }
        put(&["\r\n"]);
        if !without_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

//! Answers the requests of a listener.

use std::future::Future;

use super::body::Body;
use super::head::{Head, HeadError};
use super::response::Response;

/// Answers the requests of a listener. One instance serves one worker thread.
pub trait Service: 'static {
    /// Answers one request. It may read the body; an unread body closes the connection.
    fn call(&self, head: &Head, body: &mut Body<'_>) -> impl Future<Output = Response>;

    /// Answers bytes that are not an HTTP request. The connection closes after the response.
    fn bad_request(&self, error: &HeadError, peer: std::net::IpAddr) -> Response;
}

//! What a listener calls for each request.

use std::future::Future;

use super::body::Body;
use super::head::{Head, HeadError};
use super::reply::Reply;

/// What answers the requests of a listener. One instance serves one worker thread.
pub trait Service: 'static {
    /// Answers one request. Reads the body, or leaves it; a body that is left ends the connection.
    fn call(&self, head: &Head, body: &mut Body<'_>) -> impl Future<Output = Reply>;

    /// Answers bytes that are no HTTP request. The connection ends after it.
    fn bad_request(&self, error: &HeadError, peer: std::net::IpAddr) -> Reply;
}

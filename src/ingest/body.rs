//! Reading a body, within its bounds of size and time.

use std::pin::Pin;
use std::task::Poll;

use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap};
use actix_web::web::{Bytes, BytesMut};

/// What of a body that is too large is read and thrown away, so that the peer, still sending, gets
/// the answer instead of a reset connection.
const DISCARD_FACTOR: usize = 8;

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Over the bound.
    TooLarge,
    /// The connection ended, or its framing is broken.
    Broken(PayloadError),
}

/// Reads all of it, if it is at most `max` bytes. The time is bounded by the caller.
pub(super) async fn read(headers: &HeaderMap, payload: &mut Payload, max: usize) -> Result<Bytes, BodyError> {
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > max) {
        return Err(BodyError::TooLarge);
    }
    // Nearly every body is one chunk: it is taken as it is.
    let Some(first) = next(payload).await else { return Ok(Bytes::new()) };
    let first = first.map_err(BodyError::Broken)?;
    let mut size = first.len();
    let mut joined: Option<BytesMut> = None;
    while size <= max {
        match next(payload).await {
            None => {
                return Ok(joined.map_or(first, BytesMut::freeze));
            }
            Some(chunk) => {
                let chunk = chunk.map_err(BodyError::Broken)?;
                size += chunk.len();
                joined.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
            }
        }
    }
    Err(BodyError::TooLarge)
}

/// Throws away what else comes of a body that is over `max` bytes, within a bound. The time is
/// bounded by the caller.
pub(super) async fn discard(payload: &mut Payload, max: usize) {
    let mut size = 0;
    while size <= max.saturating_mul(DISCARD_FACTOR) {
        match next(payload).await {
            Some(Ok(chunk)) => size += chunk.len(),
            _ => return,
        }
    }
}

async fn next(payload: &mut Payload) -> Option<Result<Bytes, PayloadError>> {
    std::future::poll_fn(|cx| {
        let stream: Pin<&mut Payload> = Pin::new(payload);
        match futures_core::Stream::poll_next(stream, cx) {
            Poll::Ready(item) => Poll::Ready(item),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

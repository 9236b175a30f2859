//! The body of one request, which is read only when the service asks for it.

use std::future::Future;
use std::io;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use super::chunked::{ChunkStep, Chunked};
use super::head::Framing;
use super::input::Input;
use super::limits::FREE_BYTES;
use super::timer::{DeadlinePassed, LazyTimer};

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The body is over the limit. It was not read, or not completely.
    #[error("the body is over {0} bytes")]
    TooLarge(usize),
    /// The peer closed the connection before the end of the body.
    #[error("the connection closed before the end of the body")]
    Gone,
    /// The chunked coding is not valid.
    #[error("{0}")]
    Framing(&'static str),
}

/// A body that has not been read yet.
pub struct Body<'c> {
    input: &'c mut Input,
    timer: &'c mut LazyTimer,
    framing: Framing,
    /// The peer waits for `100 Continue` before it sends the body.
    expected: bool,
    complete: bool,
}

impl<'c> Body<'c> {
    pub(super) fn new(input: &'c mut Input, timer: &'c mut LazyTimer, framing: Framing, expected: bool) -> Self {
        let complete = matches!(framing, Framing::Length(0));
        Self { input, timer, framing, expected, complete }
    }

    /// Executes a step of the service until a deadline. It needs no timer of its own.
    ///
    /// # Errors
    /// The deadline has passed.
    pub async fn limit<T>(&mut self, deadline: Instant, step: impl Future<Output = T>) -> Result<T, DeadlinePassed> {
        self.timer.limit(deadline.into(), step).await
    }

    /// Returns the whole body if it has at most `max` bytes, is small and has arrived with the head, as nearly every body.
    pub fn take_arrived(&mut self, max: usize) -> Option<Bytes> {
        let Framing::Length(length) = self.framing else { return None };
        let length = usize::try_from(length).ok().filter(|length| *length <= FREE_BYTES.min(max))?;
        if self.input.bytes().len() < length {
            return None;
        }
        self.complete = true;
        Some(self.input.take(length))
    }

    /// The length in the head, in bytes; `None` for the chunked coding.
    pub fn announced(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// Whether the whole body was read from the connection.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Reads the whole body. The caller limits the time.
    ///
    /// # Errors
    /// The body is over `max` bytes, ends early, or has invalid framing.
    pub async fn read(&mut self, max: usize) -> Result<Bytes, BodyError> {
        match self.framing {
            Framing::Length(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= max);
                let length = length.ok_or(BodyError::TooLarge(max))?;
                self.input.hold(length).await;
                while self.input.bytes().len() < length {
                    self.fill().await?;
                }
                self.complete = true;
                Ok(self.input.take(length))
            }
            Framing::Chunked => {
                let mut body = BytesMut::new();
                self.decode(max, |bytes| body.extend_from_slice(bytes)).await?;
                Ok(body.freeze())
            }
        }
    }

    /// Reads the whole body and discards it, so that the connection stays usable. The caller limits the time.
    ///
    /// # Errors
    /// As for [`Body::read`].
    pub async fn discard(&mut self, max: usize) -> Result<(), BodyError> {
        match self.framing {
            Framing::Length(length) => {
                let left = usize::try_from(length).ok().filter(|length| *length <= max);
                let mut left = left.ok_or(BodyError::TooLarge(max))?;
                loop {
                    let here = left.min(self.input.bytes().len());
                    self.input.skip(here);
                    left -= here;
                    if left == 0 {
                        break;
                    }
                    self.fill().await?;
                }
                self.complete = true;
                Ok(())
            }
            Framing::Chunked => self.decode(max, |_| {}).await,
        }
    }

    async fn decode(&mut self, max: usize, mut take: impl FnMut(&[u8])) -> Result<(), BodyError> {
        let (mut decoder, mut size) = (Chunked::new(), 0);
        loop {
            match decoder.step(self.input.bytes()).map_err(BodyError::Framing)? {
                ChunkStep::Skip(length) => self.input.skip(length),
                ChunkStep::Data(length) => {
                    size += length;
                    if size > max {
                        return Err(BodyError::TooLarge(max));
                    }
                    self.input.hold(size).await;
                    take(self.input.bytes().get(..length).unwrap_or_default());
                    self.input.skip(length);
                }
                ChunkStep::More => self.fill().await?,
                ChunkStep::Done => {
                    self.complete = true;
                    return Ok(());
                }
            }
        }
    }

    async fn fill(&mut self) -> Result<(), BodyError> {
        if std::mem::take(&mut self.expected) {
            self.input.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(gone)?;
        }
        match self.input.fill().await {
            Ok(0) => Err(BodyError::Gone),
            result => result.map(|_| ()).map_err(gone),
        }
    }
}

fn gone(_: io::Error) -> BodyError {
    BodyError::Gone
}

//! The received and unused bytes of a connection.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead as _, AsyncWrite as _, AsyncWriteExt as _, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::limits::{FREE_BYTES, RESPONSE_TIMEOUT, WRITE_TIMEOUT};
use super::stream::Stream;

/// Bytes read from the socket at a time. An idle connection holds no buffer.
const READ_BYTES: usize = 8 * 1024;

/// A connection's transport and its receive buffer.
pub(super) struct Input {
    stream: Stream,
    buffer: BytesMut,
    budget: Arc<Semaphore>,
    /// The bytes that this connection holds above its free bytes, one permit each.
    held: Option<OwnedSemaphorePermit>,
}

impl Input {
    pub(super) fn new(stream: Stream, budget: Arc<Semaphore>) -> Self {
        Self { stream, buffer: BytesMut::new(), budget, held: None }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes the first `length` bytes out of the buffer.
    pub(super) fn take(&mut self, length: usize) -> Bytes {
        self.buffer.split_to(length.min(self.buffer.len())).freeze()
    }

    /// Drops the first `length` bytes of the buffer.
    pub(super) fn skip(&mut self, length: usize) {
        let _ = self.buffer.split_to(length.min(self.buffer.len()));
    }

    /// Receives more bytes; 0 at the end of the stream.
    pub(super) async fn fill(&mut self) -> io::Result<usize> {
        let Self { stream, buffer, .. } = self;
        std::future::poll_fn(|cx| {
            // The buffer is on the stack, not in the future: ten thousand idle connections hold no buffers.
            let mut scratch = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut scratch = ReadBuf::uninit(&mut scratch);
            Pin::new(&mut *stream).poll_read(cx, &mut scratch).map_ok(|()| {
                buffer.extend_from_slice(scratch.filled());
                scratch.filled().len()
            })
        })
        .await
    }

    /// Reserves `total` bytes of the budget for this connection. Returns whether that was possible at once.
    pub(super) fn try_hold(&mut self, total: usize) -> bool {
        let missing = self.missing(total);
        missing == 0
            || Arc::clone(&self.budget).try_acquire_many_owned(missing).is_ok_and(|permit| {
                self.add(permit);
                true
            })
    }

    /// Waits until `total` bytes of the budget are reserved, and allocates the buffer. The caller limits the time.
    pub(super) async fn hold(&mut self, total: usize) {
        let missing = self.missing(total);
        if missing > 0
            && let Ok(permit) = Arc::clone(&self.budget).acquire_many_owned(missing).await
        {
            self.add(permit);
        }
        // One allocation: a buffer that grows by doubling would take up to twice its budget.
        self.buffer.reserve(total.saturating_sub(self.buffer.len()));
    }

    /// Returns the bytes of the last request to the budget.
    pub(super) fn release(&mut self) {
        self.held = None;
        if self.buffer.is_empty() && self.buffer.capacity() > FREE_BYTES {
            self.buffer = BytesMut::new();
        }
    }

    fn missing(&self, total: usize) -> u32 {
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        u32::try_from(total.saturating_sub(FREE_BYTES).saturating_sub(held)).unwrap_or(u32::MAX)
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) {
        match &mut self.held {
            Some(held) => held.merge(permit),
            held => *held = Some(permit),
        }
    }

    /// Writes all of `bytes`. Each step must progress within [`WRITE_TIMEOUT`], and the whole within
    /// [`RESPONSE_TIMEOUT`].
    ///
    /// # Errors
    /// The peer closed the connection, or does not read (`TimedOut`).
    pub(super) async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        // Nearly every response fits into the socket's buffer, and needs no timer.
        if let Poll::Ready(written) = self.write_now(bytes).await {
            bytes = bytes.get(written?..).unwrap_or_default();
            if bytes.is_empty()
                && let Poll::Ready(flushed) = self.flush_now().await
            {
                return flushed;
            }
        }
        let end = Instant::now() + RESPONSE_TIMEOUT;
        while !bytes.is_empty() {
            let step = timeout(WRITE_TIMEOUT, self.stream.write(bytes));
            let written = timeout_at(end, step).await.map_err(io::Error::from)?.map_err(io::Error::from)??;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = bytes.get(written..).unwrap_or_default();
        }
        timeout(WRITE_TIMEOUT, self.stream.flush()).await.map_err(io::Error::from)?
    }

    async fn write_now(&mut self, bytes: &[u8]) -> Poll<io::Result<usize>> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_write(cx, bytes))).await
    }

    async fn flush_now(&mut self) -> Poll<io::Result<()>> {
        std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut self.stream).poll_flush(cx))).await
    }

    /// Closes the connection so that the peer can still read the last response: closes our half, then discards the
    /// peer's input, for at most `time` and `most` bytes.
    pub(super) async fn linger(&mut self, time: Duration, most: usize) {
        // The rest of an unread body is not needed, and no longer counts in the budget.
        let mut discarded = std::mem::take(&mut self.buffer).len();
        let work = async {
            if self.stream.shutdown().await.is_err() {
                return;
            }
            while discarded <= most {
                self.buffer.clear();
                match self.fill().await {
                    Ok(0) | Err(_) => return,
                    Ok(bytes) => discarded += bytes,
                }
            }
        };
        let _ = timeout(time, work).await;
    }
}

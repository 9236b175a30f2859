//! Serves one connection: request after request, until a rule of the layer closes it.

use std::net::IpAddr;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::body::Body;
use super::head::{Head, HeadError, Method, Search};
use super::input::Input;
use super::limits::{FREE_BYTES, HEAD_TIMEOUT, LINGER_BYTES, LINGER_TIMEOUT};
use super::registry::{Activity, ConnectionEntry};
use super::response::Response;
use super::service::Service;
use super::timer::{DeadlinePassed, LazyTimer};
use super::worker::EdgeWorker;

/// The result of waiting for a head.
enum AfterRequest {
    Request(Box<Head>),
    /// The bytes are not a request.
    Bad(HeadError),
    /// The peer closed the connection between two requests, or was idle for too long, or must make room.
    End,
}

/// Serves a connection until its end.
pub(super) async fn serve<S: Service>(mut input: Input, peer: IpAddr, worker: &EdgeWorker<S>, entry: &ConnectionEntry) {
    let mut activity = Activity::Unproven;
    // One timer for the waits between requests, and one for the much shorter steps of a request.
    let (mut idle_timer, mut step_timer) = (LazyTimer::default(), LazyTimer::default());
    // The first head has the same time as any other: a peer connects in order to send.
    let mut idle = HEAD_TIMEOUT;
    loop {
        entry.set(activity);
        let head = match next(&mut input, entry, &mut idle_timer, idle).await {
            AfterRequest::Request(head) => head.from(peer),
            AfterRequest::Bad(error) => {
                entry.set(Activity::Busy);
                return last(&mut input, &worker.service.bad_request(&error, peer), true, false, worker, entry).await;
            }
            AfterRequest::End => return,
        };
        entry.set(Activity::Busy);
        let mut body = Body::new(&mut input, &mut step_timer, head.framing, head.expects_continue);
        let reply = worker.service.call(&head, &mut body).await;
        let whole = body.is_complete();
        let without_body = head.method() == Method::Head;
        if !whole || reply.closes() || !head.keep_alive || worker.registry.is_closing() {
            return last(&mut input, &reply, head.http_11, without_body, worker, entry).await;
        }
        if let Err(error) = input.write(&reply.encode(false, head.http_11, without_body)).await {
            return stalled(&error, worker);
        }
        drop(head);
        input.release();
        idle = worker.keep_alive;
        if reply.is_proven() {
            activity = Activity::Idle;
        }
        if !input.bytes().is_empty() {
            // The next request has already arrived; the other connections of this worker come first.
            tokio::task::yield_now().await;
        }
    }
}

/// Writes the last response of a connection and closes it.
async fn last<S: Service>(
    input: &mut Input,
    reply: &Response,
    http_11: bool,
    without_body: bool,
    worker: &EdgeWorker<S>,
    entry: &ConnectionEntry,
) {
    if let Err(error) = input.write(&reply.encode(true, http_11, without_body)).await {
        return stalled(&error, worker);
    }
    input.release();
    entry.set(Activity::Lingering);
    tokio::select! {
        () = input.linger(LINGER_TIMEOUT, LINGER_BYTES) => {}
        () = entry.ended() => {}
    }
}

fn stalled<S: Service>(error: &std::io::Error, worker: &EdgeWorker<S>) {
    if error.kind() == std::io::ErrorKind::TimedOut {
        worker.counters.stalled.fetch_add(1, Relaxed);
    }
}

/// Waits for the next head.
async fn next(input: &mut Input, entry: &ConnectionEntry, timer: &mut LazyTimer, idle: Duration) -> AfterRequest {
    let mut search = Search::default();
    // Until the first byte, the limit of an idle connection applies; after it, the time of a head.
    let mut begun = !input.bytes().is_empty();
    let mut deadline = Instant::now() + if begun { HEAD_TIMEOUT } else { idle };
    loop {
        input.skip(Search::blank(input.bytes()));
        match search.end(input.bytes()) {
            Ok(Some(length)) => {
                return search
                    .parse(input.take(length))
                    .map_or_else(AfterRequest::Bad, |head| AfterRequest::Request(Box::new(head)));
            }
            Ok(None) => {}
            Err(error) => return AfterRequest::Bad(error),
        }
        if !input.try_hold(input.bytes().len() + FREE_BYTES / 2) {
            return AfterRequest::Bad(HeadError::Memory);
        }
        let received = tokio::select! {
            biased;
            received = timer.limit(deadline, input.fill()) => received,
            () = entry.ended() => return AfterRequest::End,
        };
        let nothing = input.bytes().iter().all(|byte| matches!(byte, b'\r' | b'\n'));
        match received {
            Ok(Ok(1..)) => {}
            _ if nothing => return AfterRequest::End,
            Ok(_) => return AfterRequest::Bad(HeadError::Broken),
            Err(DeadlinePassed) => return AfterRequest::Bad(HeadError::Slow),
        }
        if !std::mem::replace(&mut begun, true) {
            deadline = Instant::now() + HEAD_TIMEOUT;
        }
    }
}

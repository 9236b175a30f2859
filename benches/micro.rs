//! Measures the pure steps of one webhook, in time and allocations: `cargo bench --bench micro [NAME]`.
//!
//! `whole` is the sum that a worker spends between the head of a request and the spool: query, Sign, body, record.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::pedantic, missing_docs)]

#[allow(dead_code, reason = "only a request is needed")]
#[path = "support/request.rs"]
mod request;

use std::sync::LazyLock;

use divan::{AllocProfiler, Bencher, black_box};
use recall_bridge::clock;
use recall_bridge::events::{self, Origin};
use recall_bridge::ingest::checks::{self, Verdict};
use recall_bridge::record::Record;
use recall_bridge::webhook::{Apps, verify};

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

const APP: u64 = 1_400_000_001;
const TOKEN: &str = "benchmark";
/// A benchmark is shorter than this.
const WINDOW_SECONDS: u64 = 3600;
const RECEIVED_AT_MS: i64 = 1_700_000_000_123;

static APPS: LazyLock<Apps> = LazyLock::new(|| Apps::parse(&format!("{APP}:{TOKEN}"), false).unwrap());
static WEBHOOK: LazyLock<Webhook> = LazyLock::new(Webhook::new);

/// The parts of a request.
struct Webhook {
    query: Vec<u8>,
    body: Vec<u8>,
    time: i64,
}

impl Webhook {
    fn new() -> Self {
        let request = request::Request::new(1, 1, 50, 1_234_567_890);
        let text = std::str::from_utf8(request.bytes()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let query = head.split(['?', ' ']).nth(2).unwrap();
        let time = query.rsplit('=').next().unwrap().parse().unwrap();
        Self { query: query.into(), body: body.into(), time }
    }
}

fn main() {
    divan::main();
}

/// Query, `Sign`, `RequestTime`.
#[divan::bench]
fn query_and_sign(bencher: Bencher<'_, '_>) {
    let webhook = &*WEBHOOK;
    bencher
        .bench(|| verify(black_box(&webhook.query), &APPS, webhook.time, WINDOW_SECONDS, events::is_published).is_ok());
}

#[divan::bench]
fn body(bencher: Bencher<'_, '_>) {
    let webhook = &*WEBHOOK;
    let verified = verify(&webhook.query, &APPS, webhook.time, WINDOW_SECONDS, events::is_published).unwrap();
    let kind = events::find(events::RECALL_COMMAND).unwrap();
    bencher.bench(|| kind.parse(&verified, black_box(&webhook.body)).unwrap().unwrap().count());
}

/// The record, as the spool stores it.
#[divan::bench]
fn record(bencher: Bencher<'_, '_>) {
    with_messages(|messages, origin| {
        let mut out = Vec::with_capacity(4096);
        bencher.bench_local(|| {
            out.clear();
            messages.encode(0, black_box(origin), &mut out);
            out.len()
        });
    });
}

#[divan::bench]
fn content_hash(bencher: Bencher<'_, '_>) {
    with_messages(|messages, origin| bencher.bench_local(|| messages.content_hash(0, black_box(origin))));
}

/// What the publisher reads of a record.
#[divan::bench]
fn decode(bencher: Bencher<'_, '_>) {
    with_messages(|messages, origin| {
        let mut bytes = Vec::new();
        messages.encode(0, origin, &mut bytes);
        bencher.bench_local(|| Record::decode(black_box(&bytes)).unwrap().headers().count());
    });
}

#[divan::bench]
fn clock_read() -> i64 {
    clock::now_ms()
}

/// Query, `Sign`, body, content hash, record.
#[divan::bench]
fn whole(bencher: Bencher<'_, '_>) {
    let webhook = &*WEBHOOK;
    let mut out = Vec::with_capacity(4096);
    bencher.bench_local(|| {
        out.clear();
        let verdict = checks::check(black_box(&webhook.query), &webhook.body, &APPS, webhook.time, WINDOW_SECONDS);
        let Verdict::Publish(verified, messages) = verdict else { panic!("{verdict:?}") };
        let origin = Origin::new(&verified, RECEIVED_AT_MS, None);
        messages.encode(0, &origin, &mut out);
        messages.content_hash(0, &origin)
    });
}

fn with_messages(run: impl FnOnce(&dyn events::Messages, &Origin<'_>)) {
    let webhook = &*WEBHOOK;
    let verdict = checks::check(&webhook.query, &webhook.body, &APPS, webhook.time, WINDOW_SECONDS);
    let Verdict::Publish(verified, messages) = verdict else { panic!("{verdict:?}") };
    run(&*messages, &Origin::new(&verified, RECEIVED_AT_MS, None));
}

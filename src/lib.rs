//! recall-bridge: Tencent Cloud Chat recall webhooks, published to Apache Kafka exactly once.
//!
//! Tencent Cloud Chat reports by a webhook that messages of an official channel were recalled. It
//! waits 2 seconds for the answer, and by default never sends a webhook again. The bridge makes the
//! recall durable, answers, and publishes one Kafka record per message. Its promise: *a recall that
//! was acknowledged is in Kafka exactly once, in order per account, whatever process, broker or
//! network dies in between.* `docs/architecture.md` argues for it case by case.
//!
//! The crate is a binary; what is public here is public for its tests and benchmarks.
//!
//! # The walk of one recall
//!
//! 1. [`edge`] reads one request at a time from a connection, within bounds of size and time.
//! 2. [`webhook::verify()`] checks app, signature and time. Only it makes a [`webhook::Verified`].
//! 3. [`ingest`] reads the body, and [`webhook::parse`] makes a [`webhook::Recall`] of the proof and the body.
//! 4. [`record::Event::encode`] writes the bytes that Kafka will get, one record per message. Nothing
//!    behind it parses or formats.
//! 5. [`spool::Appender::append`] joins the commit that is next, without what was accepted lately.
//!    Only a commit that returned, synced to the disk, makes a [`spool::Durable`]; then the sender gets
//!    its OK.
//! 6. [`publisher`] reads the spool in sequence and publishes it in Kafka transactions.
//!    [`publisher::machine::Machine`] decides what to do next; after any doubt it fences the old
//!    producer, reads the topic back, and goes on with what is missing.
//! 7. [`spool::Spool::advance`] moves the watermark; rows below it are removed in bulk.
//!
//! # The map
//!
//! ```text
//!            config      app: builds the parts, runs them, stops them in order
//!                           │
//!          ┌────────────────┼──────────────────┐
//!          ▼                ▼                  ▼
//!       ingest ────────►  spool  ◄──────── publisher ────► Kafka
//!          │                ▲                  │
//!    webhook, record       ops              record
//! ```
//!
//! * [`commands`]: `serve`, `demo`, `send`, `tail`, `check-config`, `explain`, `health`, `spool`,
//!   `quarantine`, `completions`, `man`: one file or directory each.
//! * [`app`]: the only room that knows all others. A part that ends by itself ends the process.
//! * [`config`]: the environment, checked as a whole before a port is bound.
//! * [`webhook`]: what the vendor sends and is answered. Pure.
//! * [`record`]: what is published: key, value, headers, event id. Pure.
//! * [`edge`]: HTTP between a socket and a service, for both listeners: deadlines, bounds, framing.
//! * [`ingest`]: what answers webhooks. Every delivery ends in exactly one [`ingest::Outcome`].
//! * [`spool`]: the durable queue. Bytes in, bytes out, sequence numbers; its storage contract, with
//!   numbers, is its documentation.
//! * [`publisher`]: spool to Kafka: a pure state machine, a driver, and every call to librdkafka.
//!   [`publisher::bypass`] is the one way past the spool, for when it cannot be written.
//! * [`quarantine`]: what is done about entries in quarantine: which are meant, what they become.
//! * [`control`]: how a command asks the running process for a change: a socket in the spool directory.
//! * [`ops`]: metrics, health and status, on a listener of their own.
//! * [`verify`]: the consumer's proof that a topic is as promised; `tail --verify` uses it.
//! * [`priority`]: which threads give way.
//! * [`seq_set`]: sets of sequence numbers.
//! * [`escape`]: text of others, made safe for a terminal and a log.
//! * [`pulse`], [`watchdog`]: does every thread get on? Told by the monotonic clock.
//! * [`supervisor`]: what systemd is told.
//! * [`version`]: which release this is, and from which commit.
//! * [`tls`]: certificates and keys of the webhook listener, which can be replaced while it runs.
//! * [`telemetry`]: one line per event on stderr, as JSON or as text; it never blocks.
//!
//! `webhook`, `record` and `tls` import no other room, and `spool` only [`pulse`]. Nothing imports `commands`, and only `app`
//! and `commands` import across; of `publisher`, `ingest` knows the bypass.
//!
//! # Where to begin
//!
//! To see it work: `cargo run --release -- demo`. To read it: [`spool`]'s contract, then
//! [`publisher`], then [`ingest`]'s outcomes.

// Both macros panic where their descriptor cannot be written: `commands::output` is for that.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod commands;
pub mod config;
pub mod control;
pub mod edge;
pub mod escape;
pub mod events;
pub mod ingest;
pub mod ops;
pub mod priority;
pub mod publisher;
pub mod pulse;
pub mod quarantine;
pub mod record;
pub mod seq_set;
pub mod spool;
pub mod supervisor;
pub mod telemetry;
pub mod tls;
pub mod verify;
pub mod version;
pub mod watchdog;
pub mod webhook;

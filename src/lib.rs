//! recall-bridge: Tencent Cloud Chat recall webhooks, published to Apache Kafka exactly once.
//!
//! Tencent Cloud Chat reports recalled messages of an official channel by a webhook. It waits 2 seconds for the
//! response, and by default never sends a webhook again. The bridge makes the recalls durable, responds, and publishes
//! one Kafka record per message. Its promise: *an acknowledged recall is in Kafka exactly once, in order per account,
//! also when a process, a broker or the network fails in between.* `docs/architecture.md` explains each case;
//! `docs/style.md` has the glossary.
//!
//! The crate is a binary. Its public items are public for tests and benchmarks.
//!
//! # The path of one recall
//!
//! 1. [`edge`] reads one request at a time from a connection, within limits of size and time.
//! 2. [`webhook::verify()`] checks app, signature and time. Only it creates a [`webhook::Verified`].
//! 3. [`ingest`] reads the body, and [`events::EventKind::parse`] creates its [`events::Messages`].
//! 4. [`events::Messages::store`] writes the fields of each message, in the form in which the spool stores them.
//! 5. [`spool::Appender::append`] adds the events to the next commit, except duplicates. Only a successful commit,
//!    synced to the disk, creates a [`spool::Durable`]; then the sender gets its OK.
//! 6. [`publisher`] reads the spool in sequence, makes the record of each event ([`events::stored`]), and publishes it in
//!    Kafka transactions.
//!    [`publisher::machine::Machine`] decides the next step. After any unknown outcome it fences the old producer,
//!    reconciles with the topic, and continues with the missing records.
//! 7. [`spool::Spool::advance`] moves the published sequence. Rows below it are deleted in bulk.
//!
//! # The map
//!
//! ```text
//!            config      app: creates, starts and stops the components
//!                           │
//!          ┌────────────────┼──────────────────┐
//!          ▼                ▼                  ▼
//!       ingest ────────►  spool  ◄──────── publisher ────► Kafka
//!          │                ▲                  │
//!    webhook, events       ops              record
//! ```
//!
//! * [`commands`]: `serve`, `demo`, `send`, `tail`, `check-config`, `explain`, `health`, `spool`,
//!   `quarantine`, `refused`, `find`, `replay`, `completions`, `man`: one file or directory each.
//! * [`app`]: the only module that knows all others. If a component exits unexpectedly, the process exits.
//! * [`config`]: the environment, validated as a whole before a port is bound.
//! * [`webhook`]: the vendor's protocol: query, signature, responses. Pure.
//! * [`events`]: the published webhook commands, one module for each: body, records, limits, sample. Pure.
//! * [`record`]: the bytes of an encoded record. Pure.
//! * [`edge`]: HTTP between a socket and a service, for both listeners: deadlines, limits, framing.
//! * [`ingest`]: handles webhooks. Every webhook ends in exactly one [`ingest::Outcome`].
//! * [`spool`]: the durable queue. Bytes in, bytes out, sequence numbers; its storage contract, with
//!   numbers, is its documentation.
//! * [`publisher`]: spool to Kafka: a pure state machine, a driver, and every call to librdkafka.
//!   [`publisher::direct`] publishes directly while the spool cannot be written.
//! * [`quarantine`]: selects entries of the quarantine and converts them back into records.
//! * [`refused`]: the journal of refused webhooks.
//! * [`replay`]: publishes records of the topic again.
//! * [`published`]: the records that this process published last.
//! * [`find`]: where a recall is.
//! * [`control`]: lets a command ask the running process for a change: a socket in the spool directory.
//! * [`ops`]: metrics, health, status, history and the page, on their own listener.
//! * [`verify`]: checks the promise on the consumer's side, for `tail --verify`.
//! * [`priority`]: lowers the priority of background threads.
//! * [`seq_set`]: sets of sequence numbers.
//! * [`escape`]: escapes untrusted text for a terminal and a log.
//! * [`pulse`], [`watchdog`]: detect stuck components by the monotonic clock.
//! * [`systemd`]: notifies systemd.
//! * [`version`]: the release and its commit.
//! * [`tls`]: certificates and keys of the webhook listener, which can be replaced while it runs.
//! * [`telemetry`]: one line per log event on stderr, as JSON or as text; it never blocks.
//!
//! * [`clock`]: the wall clock.
//!
//! `docs/architecture.md` has the table of allowed imports; `tests/structure` compares it with the code.
//!
//! # Where to start
//!
//! To see it work: `cargo run --release -- demo`. To read it: [`spool`]'s contract, then
//! [`publisher`], then [`ingest`]'s outcomes.

// Both macros panic if their descriptor cannot be written. `commands::output` does not.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod app;
pub mod clock;
pub mod commands;
pub mod config;
pub mod control;
pub mod edge;
pub mod escape;
pub mod events;
pub mod find;
pub mod ingest;
pub mod ops;
pub mod priority;
pub mod published;
pub mod publisher;
pub mod pulse;
pub mod quarantine;
pub mod record;
pub mod refused;
pub mod replay;
pub mod seq_set;
pub mod spool;
pub mod systemd;
pub mod telemetry;
pub mod tls;
pub mod verify;
pub mod version;
pub mod watchdog;
pub mod webhook;

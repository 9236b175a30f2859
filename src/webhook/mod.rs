//! What the vendor sends, and what it is answered: pure functions, no I/O.
//!
//! The walk of one delivery through this room:
//!
//! 1. [`verify`] reads the URL's query string and says whether the delivery is
//!    authentic. Only it can build a [`Verified`].
//! 2. [`parse`] takes that proof and the body, and gives a [`Recall`] (or
//!    [`Body::Empty`]).
//! 3. [`ok`] and [`fail`] are the two shapes of an answer.
//!
//! The rule behind the details: what is authentic and can be understood is
//! never refused, because the sender does not send it again.
//!
//! Source: Tencent Cloud Chat webhook documentation (webhook overview,
//! authentication, "after an official account's message is recalled").

mod apps;
mod body;
mod body_fields;
mod body_loose;
mod bounds;
mod commands;
mod query;
mod reply;
mod traceparent;
#[cfg(test)]
mod vectors;
mod verify;

pub use apps::{Apps, AppsFault, EmptyToken, Token};
pub use body::{Body, BodyFault, Recall, account, parse};
pub use bounds::{ACCOUNT_MAX_BYTES, MSG_KEY_MAX_BYTES, MSG_KEYS_MAX, RECORDS_MAX_BYTES};
pub use commands::{OTHER_COMMANDS, RECALL_COMMAND, is_near_miss};
pub use query::{QueryFault, without_sign};
pub use reply::{fail, ok};
pub use traceparent::known_part as traceparent;
pub use verify::{EXPIRED_SECONDS, Refusal, SignFault, Verified, verified_before, verify};

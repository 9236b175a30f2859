//! The vendor's webhook protocol: query, signature, responses. Pure functions, no I/O.
//!
//! [`verify`] reads the query of the URL and checks that the webhook is authentic; only it creates a [`Verified`]. The
//! body belongs to [`events`](crate::events). [`ok`] and [`fail`] are the two responses.
//!
//! An authentic webhook that can be understood is never refused, because the sender does not send it again.
//!
//! Source: Tencent Cloud Chat webhook documentation (webhook overview,
//! authentication, "after an official account's message is recalled").

mod apps;
mod glance;
mod query;
mod reply;
mod traceparent;
mod verify;

pub use apps::{Apps, AppsError, EmptyToken, Token};
pub use glance::{QueryGlance, glance};
pub use query::{QueryError, names_command, without_sign};
pub use reply::{fail, ok};
pub use traceparent::known_part as traceparent;
pub use verify::{EXPIRED_SECONDS, Refusal, SignError, Verified, verified_before, verify};

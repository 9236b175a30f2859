//! Copies of messages, and the stores that contain them.

use std::collections::BTreeSet;

use super::consumer::Kind;
use super::postgres::Postgres;
use super::redis::Redis;

/// A copy of a message in a store.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) account: String,
    pub(super) msg_key: String,
}

impl Copy {
    pub(super) fn new(account: &str, msg_key: &str) -> Self {
        Self { account: account.to_owned(), msg_key: msg_key.to_owned() }
    }

    /// Returns the name under which every store shows the copy.
    pub(super) fn name(&self) -> String {
        format!("message:{}:{}", self.account, self.msg_key)
    }
}

/// Returns this number of copies, of 17 accounts.
pub(super) fn copies(count: usize) -> Vec<Copy> {
    (0..count).map(|number| Copy::new(&format!("#TOA#_{}", number % 17), &format!("{number}_1_1698741698"))).collect()
}

pub(super) fn names<'c>(copies: impl IntoIterator<Item = &'c Copy>) -> BTreeSet<String> {
    copies.into_iter().map(Copy::name).collect()
}

/// A store with its own server. It is empty at first.
pub(super) enum Store {
    Redis(Redis),
    Postgres(Postgres),
}

impl Store {
    /// Starts the store that this consumer purges.
    pub(super) fn for_consumer(kind: Kind) -> Self {
        match kind {
            Kind::PythonArchive => Self::Postgres(Postgres::start()),
            _ => Self::Redis(Redis::start()),
        }
    }

    /// Returns the consumer's variable for the store's URL, and the URL.
    pub(super) fn variable(&self) -> (&'static str, String) {
        match self {
            Self::Redis(redis) => ("REDIS_URL", redis.url()),
            Self::Postgres(postgres) => ("DATABASE_URL", postgres.url()),
        }
    }

    pub(super) fn keep(&self, copies: &[Copy]) {
        match self {
            Self::Redis(redis) => redis.keep(copies),
            Self::Postgres(postgres) => postgres.keep(copies),
        }
    }

    /// Returns the names of the copies that are still visible.
    pub(super) fn shown(&self) -> BTreeSet<String> {
        match self {
            Self::Redis(redis) => redis.shown(),
            Self::Postgres(postgres) => postgres.shown(),
        }
    }

    /// Stops the server as an operator does.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Redis(redis) => redis.stop(),
            Self::Postgres(postgres) => postgres.stop(),
        }
    }

    /// Stops the server as a crash does.
    pub(super) fn crash(&mut self) {
        match self {
            Self::Redis(redis) => redis.crash(),
            Self::Postgres(postgres) => postgres.crash(),
        }
    }

    /// Starts the server again with the data that it stored.
    pub(super) fn start(&mut self) {
        match self {
            Self::Redis(redis) => redis.run(),
            Self::Postgres(postgres) => postgres.run(),
        }
    }
}

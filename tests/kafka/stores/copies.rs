//! Copies of messages, and what keeps them.

use std::collections::BTreeSet;

use super::consumer::Kind;
use super::postgres::Postgres;
use super::redis::Redis;

/// A copy of a message.
#[derive(Debug, Clone)]
pub(super) struct Copy {
    pub(super) account: String,
    pub(super) msg_key: String,
}

impl Copy {
    pub(super) fn new(account: &str, msg_key: &str) -> Self {
        Self { account: account.to_owned(), msg_key: msg_key.to_owned() }
    }

    /// What every store shows it as.
    pub(super) fn name(&self) -> String {
        format!("message:{}:{}", self.account, self.msg_key)
    }
}

/// So many, of a few accounts.
pub(super) fn copies(count: usize) -> Vec<Copy> {
    (0..count).map(|number| Copy::new(&format!("#TOA#_{}", number % 17), &format!("{number}_1_1698741698"))).collect()
}

pub(super) fn names<'c>(copies: impl IntoIterator<Item = &'c Copy>) -> BTreeSet<String> {
    copies.into_iter().map(Copy::name).collect()
}

/// A server of its own, empty at first.
pub(super) enum Store {
    Redis(Redis),
    Postgres(Postgres),
}

impl Store {
    /// What this consumer purges.
    pub(super) fn for_consumer(kind: Kind) -> Self {
        match kind {
            Kind::PythonArchive => Self::Postgres(Postgres::start()),
            _ => Self::Redis(Redis::start()),
        }
    }

    /// The variable that tells a consumer where it is.
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

    /// The names of what can still be seen.
    pub(super) fn shown(&self) -> BTreeSet<String> {
        match self {
            Self::Redis(redis) => redis.shown(),
            Self::Postgres(postgres) => postgres.shown(),
        }
    }

    /// Ends it as an operator does.
    pub(super) fn stop(&mut self) {
        match self {
            Self::Redis(redis) => redis.stop(),
            Self::Postgres(postgres) => postgres.stop(),
        }
    }

    /// Ends it as a crash does.
    pub(super) fn crash(&mut self) {
        match self {
            Self::Redis(redis) => redis.crash(),
            Self::Postgres(postgres) => postgres.crash(),
        }
    }

    /// Starts it again, with what it kept.
    pub(super) fn start(&mut self) {
        match self {
            Self::Redis(redis) => redis.run(),
            Self::Postgres(postgres) => postgres.run(),
        }
    }
}

//! The tables of the page as JSON: refused, quarantine, published, accounts, and the search.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use super::actions::PageAction;
use super::desk::{Desk, DiskBusy};
use super::params::{ParamError, Params};
use crate::control::Changes;
use crate::find::{FindError, Finder};
use crate::published::{AccountVolume, PublishedRecord, PublishedRing, shown};
use crate::quarantine::view::{summary, whole};
use crate::quarantine::{EntryAction, Filter};
use crate::refused::{RefusedFilter, RefusedSummary, RefusedView};
use crate::spool::{SpoolError, StoredEntry};

/// Rows of a table.
const ROWS_MAX: usize = 200;
const ROWS: usize = 50;
const ACCOUNTS: usize = 50;
/// A larger body is left out of an entry that is shown.
const BODY_MAX_BYTES: usize = 64 << 10;
/// The longest time that a list of the quarantine reads.
const LIST_TIME: Duration = Duration::from_secs(2);

/// The sources of the tables.
#[derive(Clone)]
pub struct Tables {
    /// The thread that reads the disk.
    pub desk: Desk,
    /// The search; it has the refused journal and the last published records.
    pub finder: Finder,
}

/// Why a table cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum TableError {
    #[error("{0}")]
    Param(String),
    #[error("quarantine: no entry has this id")]
    NoEntry,
    #[error(transparent)]
    Busy(#[from] DiskBusy),
    #[error(transparent)]
    Find(#[from] FindError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error("{0}")]
    Change(String),
}

impl From<ParamError> for TableError {
    fn from(ParamError(text): ParamError) -> Self {
        Self::Param(text)
    }
}

impl TableError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Param(_) | Self::Find(FindError::Key) => StatusCode::BAD_REQUEST,
            Self::NoEntry => StatusCode::NOT_FOUND,
            Self::Busy(_) | Self::Find(FindError::Spool(_)) | Self::Spool(_) | Self::Change(_) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        }
    }
}

/// The response of `/refused`.
#[derive(Debug, Serialize)]
pub(super) struct RefusedTable {
    summary: RefusedSummary,
    /// The newest matching entries, newest first.
    entries: Vec<RefusedView>,
}

/// The response of `/quarantine`.
#[derive(Debug, Serialize)]
pub(super) struct QuarantineTable {
    /// Matching entries, also those that are not listed.
    total: u64,
    /// Whether all entries were read.
    complete: bool,
    /// The newest matching entries, newest first.
    entries: Vec<Map<String, Value>>,
}

/// The response of `/published`.
#[derive(Debug, Serialize)]
pub(super) struct PublishedTable {
    topic: String,
    /// The last records of this process, newest first, each with a command line that prints it.
    records: Vec<PublishedRow>,
}

#[derive(Debug, Serialize)]
struct PublishedRow {
    #[serde(flatten)]
    record: PublishedRecord,
    command: String,
}

/// The response of `/accounts`.
#[derive(Debug, Serialize)]
pub(super) struct AccountTable {
    /// The accounts with the most records since the start of the process.
    accounts: Vec<AccountVolume>,
}

impl Tables {
    pub(super) fn refused(&self, query: &[u8]) -> Result<RefusedTable, TableError> {
        let params = Params::new(query, &["limit", "outcome", "account", "key", "since_ms", "authentic"])?;
        let filter = RefusedFilter {
            outcome: params.text("outcome").map(str::to_owned),
            account: params.text("account").map(str::to_owned),
            key: params.text("key").map(str::to_owned),
            since_ms: params.number("since_ms", &0, &i64::MAX)?,
            from: None,
            through: None,
            authentic: match params.text("authentic") {
                None | Some("false") => false,
                Some("true") => true,
                Some(_) => return Err(TableError::Param("authentic: true or false".to_owned())),
            },
        };
        let journal = &self.finder.journal;
        Ok(RefusedTable { summary: journal.summary(), entries: journal.newest(&filter, limit(&params)?) })
    }

    pub(super) fn published(&self, query: &[u8]) -> Result<PublishedTable, TableError> {
        let records = self.finder.published.newest(limit(&Params::new(query, &["limit"])?)?.min(PublishedRing::LEN));
        let row = |record: PublishedRecord| PublishedRow {
            command: self.finder.kcat(record.partition, record.offset),
            record,
        };
        Ok(PublishedTable { topic: self.finder.topic.clone(), records: records.into_iter().map(row).collect() })
    }

    pub(super) fn accounts(&self, query: &[u8]) -> Result<AccountTable, TableError> {
        Params::new(query, &[])?;
        Ok(AccountTable { accounts: self.finder.published.accounts(ACCOUNTS) })
    }

    /// The response of `/quarantine`: a list, or one entry with everything.
    pub(super) async fn quarantine(&self, query: &[u8]) -> Result<Value, TableError> {
        let params = Params::new(query, &["id", "limit", "reason", "account"])?;
        if let Some(id) = params.number("id", &1, &i64::MAX)? {
            let entry = self.desk.run(move |changes| changes.reader.quarantine_entry(id)).await??;
            return Ok(shown_whole(&entry.ok_or(TableError::NoEntry)?).into());
        }
        let filter = Filter {
            reason: params.text("reason").map(Into::into),
            account: params.text("account").map(str::to_owned),
            ..Filter::default()
        };
        let limit = limit(&params)?;
        let table = self.desk.run(move |changes| list(changes, &filter, limit)).await??;
        serde_json::to_value(table).map_err(|error| TableError::Change(error.to_string()))
    }

    pub(super) async fn find(&self, query: &[u8]) -> Result<impl Serialize, TableError> {
        let params = Params::new(query, &["key"])?;
        let key = params.text("key").unwrap_or_default().to_owned();
        let finder = self.finder.clone();
        Ok(self.desk.run(move |changes| finder.find(&mut changes.reader, &key)).await??)
    }

    /// Executes an action. After a time-out it is unknown whether the action was executed.
    pub(super) async fn act(&self, action: PageAction) -> Result<Value, TableError> {
        let done = self.desk.run(move |changes| match action {
            PageAction::Requeue { ids } => changes.change(EntryAction::Requeue, &ids).map(|done| results(&done)),
            PageAction::Drop { ids } => changes.change(EntryAction::Drop, &ids).map(|done| results(&done)),
            PageAction::Replay { ids } => changes.replay(&ids).map(|done| results(&done)),
        });
        done.await?.map_err(TableError::Change)
    }
}

fn results<T: Serialize>(results: &[T]) -> Value {
    serde_json::json!({ "results": results })
}

fn limit(params: &Params) -> Result<usize, ParamError> {
    Ok(params.number("limit", &1, &ROWS_MAX)?.unwrap_or(ROWS))
}

fn list(changes: &Changes, filter: &Filter, limit: usize) -> Result<QuarantineTable, SpoolError> {
    let until = Instant::now() + LIST_TIME;
    let (mut after, mut total, mut complete) = (0, 0, true);
    let mut newest = VecDeque::new();
    loop {
        let entries = changes.reader.quarantine_after(after)?;
        let Some(last) = entries.last() else { break };
        after = last.id;
        for entry in entries.iter().filter(|entry| filter.matches(entry)) {
            total += 1;
            newest.push_front(short(summary(entry)));
            newest.truncate(limit);
        }
        if Instant::now() >= until {
            complete = false;
            break;
        }
    }
    Ok(QuarantineTable { total, complete, entries: newest.into() })
}

/// An entry with everything, or without its body if that is too large to show.
fn shown_whole(entry: &StoredEntry) -> Map<String, Value> {
    if entry.body.len() <= BODY_MAX_BYTES {
        return whole(entry);
    }
    let mut fields = short(summary(entry));
    fields.insert("query".to_owned(), shown(entry.query.as_bytes()).into());
    fields.insert("body_left_out".to_owned(), true.into());
    fields
}

/// Texts within their limit: an account of a malformed webhook can have any length.
fn short(mut fields: Map<String, Value>) -> Map<String, Value> {
    for value in fields.values_mut() {
        if let Value::String(text) = value {
            *text = shown(text.as_bytes());
        }
    }
    fields
}

//! The command's side.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::protocol::{
    ControlResponse, PAGE_MAX_ENTRIES, REQUEST_MAX_IDS, RESPONSE_MAX_BYTES, RefusedRequest, Request, SpoolLimits,
};
use super::socket;
use crate::quarantine::{Changed, EntryAction};
use crate::refused::{RefusedFilter, RefusedId, RefusedView, ReplayResult};
use crate::spool::QuarantineId;

/// The time limit for a response: the process handles one command at a time, and a disk may be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the running process did not execute the command.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The process is unreachable.
    #[error(
        "the running process cannot be reached ({0}): it may be starting or stopping, or belong to another user; \
         repeat the command, or stop the node first"
    )]
    Unreachable(io::Error),
    /// The process did not respond. Repeating the command shows what was done.
    #[error("the running process did not respond ({0}); repeat the command: no entry is changed twice")]
    Silent(io::Error),
    /// The response is not valid.
    #[error("the response of the running process is not valid ({0}); if it is another release, stop the node first")]
    Misunderstood(String),
    /// The process reported an error.
    #[error("the running process: {0}")]
    Failed(String),
}

/// Asks the process that owns this spool directory to change entries, in requests of a bounded size. Passes the
/// result of every request to `each`.
///
/// # Errors
/// See [`ControlError`]. The changes that were passed to `each` before are done.
pub fn ask(
    dir: &Path,
    action: EntryAction,
    ids: &BTreeSet<QuarantineId>,
    mut each: impl FnMut(Vec<Changed>),
) -> Result<(), ControlError> {
    let ids: Vec<QuarantineId> = ids.iter().copied().collect();
    for some in ids.chunks(REQUEST_MAX_IDS) {
        match request(dir, &Request::Quarantine { action, ids: some.to_vec() })? {
            ControlResponse::Changed(changed) => each(changed),
            other => return Err(unexpected(&other)),
        }
    }
    Ok(())
}

/// Passes the matching entries of the refused journal to `each`, in the order of ids, until it returns `false`.
///
/// # Errors
/// See [`ControlError`].
pub fn refused(
    dir: &Path,
    filter: &RefusedFilter,
    mut each: impl FnMut(&RefusedView) -> bool,
) -> Result<(), ControlError> {
    let mut after = 0;
    loop {
        let refused = RefusedRequest::List { filter: filter.clone(), after };
        let entries = match request(dir, &Request::Refused { refused })? {
            ControlResponse::Refused(entries) => entries,
            other => return Err(unexpected(&other)),
        };
        for entry in &entries {
            after = after.max(entry.id);
            if !each(entry) {
                return Ok(());
            }
        }
        if entries.len() < PAGE_MAX_ENTRIES {
            return Ok(());
        }
    }
}

/// Asks the process to publish entries of the refused journal, in requests of a bounded size. Passes the result of
/// every request to `each`.
///
/// # Errors
/// See [`ControlError`]. The entries that were passed to `each` before are done.
pub fn replay(
    dir: &Path,
    ids: &BTreeSet<RefusedId>,
    mut each: impl FnMut(Vec<ReplayResult>),
) -> Result<(), ControlError> {
    let ids: Vec<RefusedId> = ids.iter().copied().collect();
    for some in ids.chunks(REQUEST_MAX_IDS) {
        let refused = RefusedRequest::Replay { ids: some.to_vec() };
        match request(dir, &Request::Refused { refused })? {
            ControlResponse::Replayed(results) => each(results),
            other => return Err(unexpected(&other)),
        }
    }
    Ok(())
}

/// Asks the process for the limits of its spool.
///
/// # Errors
/// See [`ControlError`].
pub fn limits(dir: &Path) -> Result<SpoolLimits, ControlError> {
    match request(dir, &Request::Limits { limits: () })? {
        ControlResponse::Limits(limits) => Ok(limits),
        other => Err(unexpected(&other)),
    }
}

pub(super) fn unexpected(response: &ControlResponse) -> ControlError {
    match response {
        ControlResponse::Error(error) => ControlError::Failed(error.clone()),
        other => ControlError::Misunderstood(format!("an answer to another request: {other:.40?}")),
    }
}

pub(super) fn request(dir: &Path, request: &Request) -> Result<ControlResponse, ControlError> {
    let mut stream = socket::open(dir, PATIENCE).map_err(ControlError::Unreachable)?;
    let mut line = serde_json::to_vec(request).map_err(|error| ControlError::Misunderstood(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(ControlError::Silent)?;
    let mut response = Vec::new();
    BufReader::new(stream.take(RESPONSE_MAX_BYTES)).read_until(b'\n', &mut response).map_err(ControlError::Silent)?;
    if response.is_empty() {
        return Err(ControlError::Silent(io::ErrorKind::UnexpectedEof.into()));
    }
    serde_json::from_slice(&response).map_err(|error| ControlError::Misunderstood(error.to_string()))
}

//! The command's side.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::protocol::{ControlResponse, REQUEST_MAX_IDS, RESPONSE_MAX_BYTES, Request};
use super::socket;
use crate::quarantine::{Changed, EntryAction};
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
        each(request(dir, &Request { action, ids: some.to_vec() })?);
    }
    Ok(())
}

fn request(dir: &Path, request: &Request) -> Result<Vec<Changed>, ControlError> {
    let mut stream = socket::open(dir, PATIENCE).map_err(ControlError::Unreachable)?;
    let mut line = serde_json::to_vec(request).map_err(|error| ControlError::Misunderstood(error.to_string()))?;
    line.push(b'\n');
    stream.write_all(&line).map_err(ControlError::Silent)?;
    let mut response = Vec::new();
    BufReader::new(stream.take(RESPONSE_MAX_BYTES)).read_until(b'\n', &mut response).map_err(ControlError::Silent)?;
    if response.is_empty() {
        return Err(ControlError::Silent(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_slice(&response) {
        Ok(ControlResponse::Changed(changed)) => Ok(changed),
        Ok(ControlResponse::Error(error)) => Err(ControlError::Failed(error)),
        Err(error) => Err(ControlError::Misunderstood(error.to_string())),
    }
}

//! The command's side.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;

use super::protocol::{ANSWER_MAX_BYTES, ControlReply, REQUEST_MAX_IDS, Request};
use super::socket;
use crate::quarantine::{Action, Changed};
use crate::spool::QuarantineId;

/// How long the process may take to answer: it works on one command after the other, and a disk may
/// be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why the running process did not do it.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// It cannot be reached.
    #[error(
        "the running process cannot be reached ({0}): it may be starting or stopping, or belong to another user; \
         repeat the command, or stop the node first"
    )]
    Unreachable(io::Error),
    /// It did not answer. What it has done, a repetition will show.
    #[error("the running process did not answer ({0}); repeat the command: what was done is not done twice")]
    Silent(io::Error),
    /// It answered something else.
    #[error("the running process did not understand ({0}); is it of another release? Stop the node first")]
    Misunderstood(String),
    /// It could not do it.
    #[error("the running process: {0}")]
    Failed(String),
}

/// Asks the process that has this spool directory to change entries, in requests of a bounded size;
/// tells `each` what came of every request.
///
/// # Errors
/// See [`ControlError`]. What was told to `each` before is done.
pub fn ask(
    dir: &Path,
    action: Action,
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
    let mut answer = Vec::new();
    BufReader::new(stream.take(ANSWER_MAX_BYTES)).read_until(b'\n', &mut answer).map_err(ControlError::Silent)?;
    if answer.is_empty() {
        return Err(ControlError::Silent(io::ErrorKind::UnexpectedEof.into()));
    }
    match serde_json::from_slice(&answer) {
        Ok(ControlReply::Changed(changed)) => Ok(changed),
        Ok(ControlReply::Error(error)) => Err(ControlError::Failed(error)),
        Err(error) => Err(ControlError::Misunderstood(error.to_string())),
    }
}

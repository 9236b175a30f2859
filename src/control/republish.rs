//! The command's side of a replay.

use std::path::Path;

use uuid::Uuid;

use super::client::{ControlError, request, unexpected};
use super::protocol::{ControlResponse, EventBytes, RepublishRequest, Request};
use crate::replay::{PublishTarget, Republished};

/// Asks the process that owns this spool directory where it publishes to.
///
/// # Errors
/// See [`ControlError`].
pub fn target(dir: &Path) -> Result<PublishTarget, ControlError> {
    match request(dir, &Request::Republish { republish: RepublishRequest::Target })? {
        ControlResponse::Target(target) => Ok(target),
        other => Err(unexpected(&other)),
    }
}

/// Passes encoded records to the process that owns this spool directory: it appends all of them or none.
///
/// # Errors
/// See [`ControlError`]. After [`ControlError::Silent`] the records may be appended.
pub fn republish(dir: &Path, replay: Uuid, events: &[Vec<u8>]) -> Result<Republished, ControlError> {
    let events = events.iter().cloned().map(EventBytes).collect();
    match request(dir, &Request::Republish { republish: RepublishRequest::Records { replay, events } })? {
        ControlResponse::Republished(republished) => Ok(republished),
        other => Err(unexpected(&other)),
    }
}

//! Appends records of a replay to a spool.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::record::{DecodeError, restamp};
use crate::spool::{Identity, Spool, TakeOutError};

/// Unpublished bytes with which the spool takes no further record of a replay; a smaller spool has an eighth of its limit.
const BACKLOG_MAX_BYTES: u64 = 4 << 20;

/// The result of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Republished {
    /// All records are durable and will be published.
    Appended {
        /// The spool UUID.
        bridge_spool: Uuid,
        /// The sequence number of the first; the others follow.
        bridge_seq: u64,
    },
    /// No record was appended: earlier events wait for Kafka.
    Wait {
        /// Unpublished events.
        waiting: u64,
    },
}

/// Why the records were not appended.
#[derive(Debug, thiserror::Error)]
pub enum RepublishError {
    /// The bytes are not an encoded record.
    #[error(transparent)]
    Undecodable(#[from] DecodeError),
    /// The spool has no space, although nothing waits for Kafka; or it cannot be written.
    #[error("the spool: {0}")]
    Spool(String),
}

/// Appends records with the timestamp `now_ms`, in one commit: all of them or none.
///
/// # Errors
/// See [`RepublishError`]. No record was appended.
pub fn republish(spool: &Spool, mut events: Vec<Vec<u8>>, now_ms: i64) -> Result<Republished, RepublishError> {
    for event in &mut events {
        restamp(event, now_ms)?;
    }
    let waiting = spool.progress().depth();
    let usage = spool.usage();
    if waiting > 0 && usage.bytes >= BACKLOG_MAX_BYTES.min(usage.max_bytes / 8) {
        return Ok(Republished::Wait { waiting });
    }
    match spool.append_repeated(events) {
        Ok(appended) => {
            let name = Identity::name(&spool.identities(), appended.first_seq);
            let (bridge_spool, bridge_seq) = name.unwrap_or((Uuid::nil(), appended.first_seq));
            Ok(Republished::Appended { bridge_spool, bridge_seq })
        }
        Err(TakeOutError::Full(_)) if waiting > 0 => Ok(Republished::Wait { waiting }),
        Err(TakeOutError::Full(full)) => Err(RepublishError::Spool(full.to_string())),
        Err(TakeOutError::Gone) => Err(RepublishError::Spool("not written".to_owned())),
        Err(TakeOutError::Spool(error)) => Err(RepublishError::Spool(error.to_string())),
    }
}

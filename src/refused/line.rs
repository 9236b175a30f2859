//! The lines of the journal's files: a checksum (CRC-32 in 8 hex digits), a space, and one JSON object.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::entry::{RefusedEntry, RefusedId, Replayed};
use crate::escape;

const DIGITS: usize = 8;

/// The content of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a line is read or written at once, and not kept")]
pub(super) enum JournalLine<'e> {
    /// A refused webhook.
    Entry(Cow<'e, RefusedEntry>),
    /// An entry was replayed.
    Replayed {
        id: RefusedId,
        #[serde(flatten)]
        replayed: Replayed,
    },
    /// Every id below this one may be in use.
    Next(RefusedId),
}

/// A line with its line end.
pub(super) fn encode(line: &JournalLine<'_>) -> serde_json::Result<Vec<u8>> {
    let json = escape::json(line)?;
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

/// Reads a line without its line end. `None`: it was not written completely, or its bytes changed.
pub(super) fn decode(line: &[u8]) -> Option<JournalLine<'static>> {
    let (digits, rest) = line.split_at_checked(DIGITS)?;
    let json = rest.strip_prefix(b" ")?;
    let expected = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    if crc32fast::hash(json) != expected {
        return None;
    }
    serde_json::from_slice(json).ok()
}

//! The bytes of one record.
//!
//! A version byte (1), the timestamp in UNIX milliseconds (i64), then key, value, and name and value of each header,
//! each after its length (u32). Numbers are little-endian.

const VERSION: u8 = 1;
/// The first byte of an event that is stored as fields, which are not a record: see `events::stored`.
pub(crate) const FIELDS: u8 = 2;

/// The bytes are not a record of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an encoded record")]
pub struct DecodeError;

/// One record, borrowed from its encoded bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'b> {
    /// UNIX milliseconds.
    pub timestamp_ms: i64,
    /// The key.
    pub key: &'b [u8],
    /// The value: JSON.
    pub value: &'b [u8],
    headers: &'b [u8],
}

impl<'b> Record<'b> {
    /// Reads an encoded record.
    ///
    /// # Errors
    /// The bytes are not a record of this release.
    pub fn decode(bytes: &'b [u8]) -> Result<Self, DecodeError> {
        let (&[version], rest) = bytes.split_first_chunk::<1>().ok_or(DecodeError)?;
        let (timestamp, rest) = rest.split_first_chunk::<8>().ok_or(DecodeError)?;
        let (key, rest) = take(rest).ok_or(DecodeError)?;
        let (value, headers) = take(rest).ok_or(DecodeError)?;
        let record = Self { timestamp_ms: i64::from_le_bytes(*timestamp), key, value, headers };
        let mut rest = headers;
        while !rest.is_empty() {
            let (name, tail) = take(rest).ok_or(DecodeError)?;
            std::str::from_utf8(name).map_err(|_| DecodeError)?;
            rest = take(tail).ok_or(DecodeError)?.1;
        }
        if version == VERSION { Ok(record) } else { Err(DecodeError) }
    }

    /// The headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + use<'b> {
        let mut rest = self.headers;
        std::iter::from_fn(move || {
            let (name, tail) = take(rest)?;
            let (value, tail) = take(tail)?;
            rest = tail;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }
}

/// Replaces the timestamp of an encoded record, in UNIX milliseconds.
///
/// # Errors
/// The bytes are not a record of this release.
pub fn restamp(record: &mut [u8], timestamp_ms: i64) -> Result<(), DecodeError> {
    Record::decode(record)?;
    let stamp = record.get_mut(1..9).ok_or(DecodeError)?;
    stamp.copy_from_slice(&timestamp_ms.to_le_bytes());
    Ok(())
}

/// Starts a record.
pub(crate) fn begin(out: &mut Vec<u8>, timestamp_ms: i64) {
    out.push(VERSION);
    out.extend_from_slice(&timestamp_ms.to_le_bytes());
}

/// Appends a field: its length, then what `write` appends.
pub(crate) fn field(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; size_of::<u32>()]);
    let body = out.len();
    write(out);
    // A field is smaller than a request body, far below 4 GiB.
    let len = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    out[start..body].copy_from_slice(&len.to_le_bytes());
}

fn take(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_le_bytes(*len)).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::recall::RecalledMessage;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn decoding_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(record) = Record::decode(&bytes) {
                let _ = record.headers().count();
            }
        }

        #[test]
        fn a_record_cut_short_or_of_another_version_is_refused(account in ".{1,9}", key in ".{1,9}", cut in 1_usize..40) {
            let mut bytes = Vec::new();
            RecalledMessage {
                sdk_app_id: 1, official_account: &account, msg_key: &key, recalled_at_ms: Some(0),
                received_at_ms: 0, opt_platform: None, client_ip: None, traceparent: None,
            }.encode(&mut bytes);
            let record = Record::decode(&bytes).unwrap();
            prop_assert_eq!(record.key, account.as_bytes());
            prop_assert_eq!(record.headers().count(), 7);
            prop_assert!(Record::decode(&bytes[..bytes.len() - cut.min(16)]).is_err());
            let (before, mut again) = (bytes.clone(), bytes.clone());
            restamp(&mut again, 7).unwrap();
            let stamped = Record::decode(&again).unwrap();
            prop_assert_eq!(stamped, Record { timestamp_ms: 7, ..Record::decode(&before).unwrap() });
            bytes[0] = 2;
            prop_assert!(restamp(&mut bytes, 7).is_err());
            prop_assert!(Record::decode(&bytes).is_err());
        }
    }
}

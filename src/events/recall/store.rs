//! The fields of a recalled message in the spool.
//!
//! Three numbers (little-endian): `received_at_ms` (i64), `sdk_app_id` (u64), `recalled_at_ms` (i64, the lowest
//! number: unknown). Then five texts, each after its length (u16, the highest number: missing): account, `MsgKey`,
//! platform, address, traceparent. These bytes never change: see [`stored`](crate::events::stored).

use super::record::RecalledMessage;
use crate::record::DecodeError;
use crate::record::wire::FIELDS;

/// The tag of the recall command.
pub(super) const TAG: u8 = 1;
const UNKNOWN_TIME: i64 = i64::MIN;
const MISSING: u16 = u16::MAX;

impl<'a> RecalledMessage<'a> {
    /// Appends what the spool stores of the message. Texts that are too long for fields are stored as a whole record.
    pub fn store(&self, out: &mut Vec<u8>) {
        let texts =
            [Some(self.official_account), Some(self.msg_key), self.opt_platform, self.client_ip, self.traceparent];
        if texts.iter().flatten().any(|text| text.len() >= usize::from(MISSING)) {
            return self.encode(out);
        }
        out.extend_from_slice(&[FIELDS, TAG]);
        out.extend_from_slice(&self.received_at_ms.to_le_bytes());
        out.extend_from_slice(&self.sdk_app_id.to_le_bytes());
        out.extend_from_slice(&self.recalled_at_ms.unwrap_or(UNKNOWN_TIME).to_le_bytes());
        for text in texts {
            let length = text.map_or(MISSING, |text| u16::try_from(text.len()).unwrap_or(MISSING));
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
    }

    /// Reads the fields that [`RecalledMessage::store`] wrote.
    ///
    /// # Errors
    /// The bytes are not the fields of a recalled message.
    pub(super) fn restore(fields: &'a [u8]) -> Result<Self, DecodeError> {
        let mut fields = Fields(fields);
        let received_at_ms = i64::from_le_bytes(fields.number()?);
        let sdk_app_id = u64::from_le_bytes(fields.number()?);
        let recalled_at_ms = i64::from_le_bytes(fields.number()?);
        let message = Self {
            sdk_app_id,
            official_account: fields.text()?.ok_or(DecodeError)?,
            msg_key: fields.text()?.ok_or(DecodeError)?,
            recalled_at_ms: Some(recalled_at_ms).filter(|ms| *ms != UNKNOWN_TIME),
            received_at_ms,
            opt_platform: fields.text()?,
            client_ip: fields.text()?,
            traceparent: fields.text()?,
        };
        if fields.0.is_empty() { Ok(message) } else { Err(DecodeError) }
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn number(&mut self) -> Result<[u8; 8], DecodeError> {
        let (number, rest) = self.0.split_first_chunk::<8>().ok_or(DecodeError)?;
        self.0 = rest;
        Ok(*number)
    }

    fn text(&mut self) -> Result<Option<&'a str>, DecodeError> {
        let (length, rest) = self.0.split_first_chunk::<2>().ok_or(DecodeError)?;
        let length = u16::from_le_bytes(*length);
        if length == MISSING {
            self.0 = rest;
            return Ok(None);
        }
        let (text, rest) = rest.split_at_checked(usize::from(length)).ok_or(DecodeError)?;
        self.0 = rest;
        std::str::from_utf8(text).map(Some).map_err(|_| DecodeError)
    }
}

//! The limits of one webhook. A webhook above a limit is `malformed`: stored in quarantine unchanged, not published.
//!
//! The vendor recalls up to 10 messages at once, and its ids have some tens of characters. The limits permit a hundred
//! times that. They are checked before anything is encoded, so the memory for one webhook is at most a small multiple of
//! its body.

/// Maximum number of elements of `WithdrawMsgList`, including repeated ones.
pub const MSG_KEYS_MAX: usize = 1000;
/// Maximum bytes of `Official_Account`, with its escapes decoded.
pub const ACCOUNT_MAX_BYTES: usize = 1024;
/// Maximum bytes of each `MsgKey`, with its escapes decoded.
pub const MSG_KEY_MAX_BYTES: usize = 32_768;
/// Maximum bytes of all encoded records of one webhook: 1,000 keys of 40 bytes with an account of 48 bytes fit.
pub const RECORDS_MAX_BYTES: usize = 1 << 20;
/// How often a record can contain a byte of the webhook's body. The value has account and `MsgKey`, at most as long as in
/// the body. The record's key is the account again, and the header `ce_subject` is the `MsgKey` again.
pub const BODY_FACTOR: u64 = 2;
/// Maximum bytes of a record that do not come from the body: other fields, headers and their names, Kafka's framing of
/// record and batch, and the documented parameters of the query.
pub const BESIDE_BODY_MAX_BYTES: u64 = 2048;
/// Maximum bytes of an encoded record without account, `MsgKey`, platform and address: names of fields and headers,
/// lengths, times, ids, `traceparent`.
const BESIDE_BYTES: usize = 768;

/// The longest escape of a byte in JSON, `\u00XX`.
const ESCAPE_MAX_BYTES: usize = 6;

/// Returns the maximum bytes of all records of a webhook, without encoding any. `beside` has the values of the query that
/// every record contains. A result within [`RECORDS_MAX_BYTES`] can be higher than the maximum.
pub(super) fn records_bytes<'k>(
    account: &str,
    msg_keys: impl Iterator<Item = &'k str> + Clone,
    beside: &[Option<&str>],
) -> usize {
    let beside_bytes: usize = beside.iter().flatten().map(|text| text.len()).sum();
    let each = BESIDE_BYTES + (account.len() + beside_bytes) * (1 + ESCAPE_MAX_BYTES);
    let at_most = msg_keys.clone().map(|msg_key| each + msg_key.len() * (1 + ESCAPE_MAX_BYTES)).sum();
    if at_most <= RECORDS_MAX_BYTES {
        return at_most;
    }
    let beside: usize = beside.iter().flatten().map(|text| escaped_bytes(text)).sum();
    // The account is the record's key and in its value; a MsgKey is a header and in the value.
    let twice = |text: &str| text.len() + escaped_bytes(text);
    let each = BESIDE_BYTES + beside + twice(account);
    msg_keys.map(|msg_key| each + twice(msg_key)).sum()
}

/// Returns the length of a text as JSON, without quotes.
fn escaped_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

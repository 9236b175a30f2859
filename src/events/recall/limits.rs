//! How much one delivery may hold. What is over a bound is `malformed`: kept as it came, not published.
//!
//! The vendor recalls up to 10 messages at once, and its ids have some tens of characters. The bounds
//! leave a hundred times that. They are checked before anything is encoded, so that one delivery costs a
//! small multiple of its body, whatever is in it.

/// Elements of `WithdrawMsgList`, repeated ones counted.
pub const MSG_KEYS_MAX: usize = 1000;
/// Bytes of `Official_Account`, without its escapes.
pub const ACCOUNT_MAX_BYTES: usize = 1024;
/// Bytes of each `MsgKey`, without its escapes.
pub const MSG_KEY_MAX_BYTES: usize = 32_768;
/// Bytes of all encoded records of one delivery: 1,000 keys of 40 bytes under an account of 48 fit.
pub const RECORDS_MAX_BYTES: usize = 1 << 20;
/// How often a byte of a delivery's body can be in a record: account and `MsgKey` are in the value, the
/// one is the key, too, the other `ce_subject`. Escaped in the value, neither is longer than in the body.
pub const BODY_FACTOR: u64 = 2;
/// What a record holds beside that: its other fields, headers and their names, Kafka's framing of record
/// and batch, and what the query says, of the documented kind.
pub const BESIDE_BODY_MAX_BYTES: u64 = 2048;
/// What an encoded record holds beside account, `MsgKey`, platform and address, at most: names of fields and
/// headers, lengths, times, ids, `traceparent`.
const BESIDE_BYTES: usize = 768;

/// The longest escape of a byte in JSON, `\u00XX`.
const ESCAPE_MAX_BYTES: usize = 6;

/// The largest number of bytes that a delivery can become, all its records together, without encoding
/// any. `beside` is what the query says: each is in the value of each record. The number is too high if even that is
/// within [`RECORDS_MAX_BYTES`].
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
    // As the record's key, and in its value; a MsgKey as a header, and in the value.
    let twice = |text: &str| text.len() + escaped_bytes(text);
    let each = BESIDE_BYTES + beside + twice(account);
    msg_keys.map(|msg_key| each + twice(msg_key)).sum()
}

/// The length of a text as JSON, without quotes.
fn escaped_bytes(text: &str) -> usize {
    let escaped = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
        0..0x20 => 6,
        _ => 1,
    };
    text.bytes().map(escaped).sum()
}

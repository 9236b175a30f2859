//! Upper limits for the size of a record.

/// How often a byte of a delivery's body can be in a record: account and `MsgKey` are in the value, the
/// one is the key, too, the other `ce_subject`. Escaped in the value, neither is longer than in the body.
pub const BODY_FACTOR: u64 = 2;
/// What a record holds beside that: its other fields, headers and their names, Kafka's framing of record
/// and batch, and what the query says, of the documented kind.
pub const BESIDE_BODY_MAX_BYTES: u64 = 2048;

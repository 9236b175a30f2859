//! Encodes a record of the topic for its publication in a replay.

use uuid::Uuid;

use crate::record::{BRIDGE_REPLAY, BRIDGE_SEQ, BRIDGE_SPOOL, BRIDGE_UNSPOOLED, header, wire};

/// Headers that belong to one publication of a record.
const OF_PUBLICATION: [&str; 5] = [BRIDGE_SPOOL, BRIDGE_SEQ, BRIDGE_UNSPOOLED, BRIDGE_REPLAY, header::TRACEPARENT];

/// Returns the encoded event: key, value and headers unchanged, except those that belong to one publication.
pub fn copy<'h>(
    replay: Uuid,
    key: &[u8],
    value: &[u8],
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    timestamp_ms: i64,
) -> Vec<u8> {
    let mut event = Vec::with_capacity(key.len() + value.len() + 512);
    wire::begin(&mut event, timestamp_ms);
    let mut field = |bytes: &[u8]| wire::field(&mut event, |out| out.extend_from_slice(bytes));
    field(key);
    field(value);
    for (name, value) in headers.filter(|(name, _)| !OF_PUBLICATION.contains(name)) {
        field(name.as_bytes());
        field(value);
    }
    field(BRIDGE_REPLAY.as_bytes());
    field(replay.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    event
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Record;

    #[test]
    fn everything_but_the_headers_of_a_publication_is_kept() {
        let headers: [(&str, &[u8]); 7] = [
            ("ce_id", b"x"),
            ("bridge_spool", b"s"),
            ("bridge_seq", b"7"),
            ("traceparent", b"t"),
            ("bridge_replay", b"earlier"),
            ("later", b"\xff"),
            ("bridge_unspooled", b"1"),
        ];
        let event = copy(Uuid::nil(), b"#TOA#_1", b"{ \"a\": 1 }", headers.into_iter(), 5);
        let record = Record::decode(&event).unwrap();
        assert_eq!((record.timestamp_ms, record.key, record.value), (5, &b"#TOA#_1"[..], &b"{ \"a\": 1 }"[..]));
        let nil = Uuid::nil().to_string();
        let kept: [(&str, &[u8]); 3] = [("ce_id", b"x"), ("later", b"\xff"), ("bridge_replay", nil.as_bytes())];
        assert_eq!(record.headers().collect::<Vec<_>>(), kept);
    }
}

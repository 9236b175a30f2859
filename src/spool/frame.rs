//! The bytes of one row: events in order, each after its length, under one checksum.

/// Appends one event: its length (u32, little-endian), then the bytes that `write` appends.
pub(super) fn push_event(payload: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = payload.len();
    payload.extend_from_slice(&[0; size_of::<u32>()]);
    let body = payload.len();
    write(payload);
    // An event is smaller than a request body, far below 4 GiB.
    let len = u32::try_from(payload.len() - body).unwrap_or(u32::MAX);
    payload[start..body].copy_from_slice(&len.to_le_bytes());
}

/// The checksum of a row: CRC-32 over its first sequence number and its payload. So a row under a wrong number is
/// found, too.
pub(super) fn checksum(first_seq: u64, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&first_seq.to_le_bytes());
    hasher.update(payload);
    hasher.finalize()
}

/// The error of a row. None: it is intact.
pub(super) fn fault(first_seq: u64, events: u64, sum: u32, payload: &[u8]) -> Option<&'static str> {
    if checksum(first_seq, payload) != sum {
        return Some("the checksum does not match");
    }
    (self::events(payload).count() as u64 != events).then_some("the number of events does not match")
}

/// The events of a stored row.
///
/// # Errors
/// The checksum or the number of events does not match.
#[doc(hidden)]
pub fn row_events(first_seq: u64, events: u64, sum: u32, payload: &[u8]) -> Result<Vec<&[u8]>, &'static str> {
    fault(first_seq, events, sum, payload).map_or_else(|| Ok(self::events(payload).collect()), Err)
}

/// The events of a payload, in order. Ends early at an invalid length; compare the count.
pub(super) fn events(payload: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = payload;
    std::iter::from_fn(move || {
        let (len, tail) = rest.split_first_chunk::<4>()?;
        let len = usize::try_from(u32::from_le_bytes(*len)).ok()?;
        let (event, tail) = tail.split_at_checked(len)?;
        rest = tail;
        Some(event)
    })
}

/// Removes events by index.
pub(super) fn retain(payload: &mut Vec<u8>, mut keep: impl FnMut(usize) -> bool) {
    let lengths: Vec<usize> = events(payload).map(|event| size_of::<u32>() + event.len()).collect();
    let (mut from, mut to) = (0, 0);
    for (place, len) in lengths.into_iter().enumerate() {
        if keep(place) {
            payload.copy_within(from..from + len, to);
            to += len;
        }
        from += len;
    }
    payload.truncate(to);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_in_order_and_a_torn_length_ends_the_list() {
        let mut payload = Vec::new();
        push_event(&mut payload, |out| out.push(b'a'));
        push_event(&mut payload, |_| ());
        push_event(&mut payload, |out| out.extend(b"ccc"));
        let all: Vec<&[u8]> = events(&payload).collect();
        assert_eq!(all, [b"a".as_slice(), b"", b"ccc"]);
        payload.pop();
        assert_eq!(events(&payload).count(), 2);
    }

    #[test]
    fn events_are_removed_by_index_and_the_others_stay_unchanged() {
        for kept in 0..8_u32 {
            let mut payload = Vec::new();
            let all = [b"a".as_slice(), b"", b"ccc"];
            for event in all {
                push_event(&mut payload, |out| out.extend_from_slice(event));
            }
            let keep = |place: usize| kept & (1 << place) != 0;
            retain(&mut payload, keep);
            let left: Vec<&[u8]> = (0..3).filter(|place| keep(*place)).map(|place| all[place]).collect();
            assert_eq!(events(&payload).collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn the_checksum_covers_number_and_bytes() {
        let sum = checksum(7, b"payload");
        assert_ne!(sum, checksum(8, b"payload"));
        assert_ne!(sum, checksum(7, b"paylaod"));
    }
}

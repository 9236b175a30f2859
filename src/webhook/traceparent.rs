//! The `traceparent` request header, which is passed on with the record.
//!
//! Source: W3C Trace Context, section 3.2.

/// Length of a version 00 value: version, trace id, parent id and flags in
/// hex, and three dashes.
const LENGTH: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;

/// Returns the part of a `traceparent` that the bridge passes on: the whole value of version 00, and the same four
/// fields of a higher version, which begins with them by specification. At most 55 bytes.
pub fn known_part(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let (known, rest) = bytes.split_at_checked(LENGTH)?;
    let (version, trace_id, parent_id, flags) = (&known[..2], &known[3..35], &known[36..52], &known[53..]);
    let dashes = known[2] == b'-' && known[35] == b'-' && known[52] == b'-';
    let ends = rest.is_empty() || (version != b"00" && rest[0] == b'-');
    let valid = dashes
        && ends
        && version != b"ff"
        && [version, trace_id, parent_id, flags].into_iter().all(is_hex)
        && [trace_id, parent_id].into_iter().all(is_set);
    if valid { text.get(..LENGTH) } else { None }
}

fn is_hex(field: &[u8]) -> bool {
    field.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// An id of zeros only means "no id".
fn is_set(id: &[u8]) -> bool {
    id.iter().any(|&byte| byte != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_00_and_its_fields_in_later_versions_are_read() {
        for valid in [
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what the future holds",
            &format!("01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-{}", "x".repeat(100_000)),
        ] {
            assert_eq!(known_part(valid), Some(&valid[..55]), "{valid}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for invalid in [
            "",
            "00",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 ",
            "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more",
            "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "0g-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
            "00-00000000000000000000000000000000-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
            "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "00-0af7651916cd43dd8448eb211c80319é-b7ad6b7169203331-01",
        ] {
            assert_eq!(known_part(invalid), None, "{invalid}");
        }
    }
}

//! Texts within a limit.

/// Limit of a MsgKey or an account that is shown, in bytes. The limit of an account itself is the same.
pub(super) const SHOWN_MAX_BYTES: usize = 1024;

/// The text, cut at a character boundary if it is longer than can be shown. Equal texts stay equal.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().find(|(at, letter)| at + letter.len_utf8() > SHOWN_MAX_BYTES - 3) {
        Some((end, _)) if text.len() > SHOWN_MAX_BYTES => format!("{}…", &text[..end]),
        _ => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        assert_eq!(shown("#TOA#_1".as_bytes()), "#TOA#_1");
        let exact = "x".repeat(1024);
        assert_eq!(shown(exact.as_bytes()), exact);
        let long = shown("€".repeat(1000).as_bytes());
        assert!(long.ends_with('…') && long.len() <= 1024, "{}", long.len());
        assert_eq!(shown(b"\xff"), "\u{fffd}");
    }
}

//! Texts within a limit.

/// Limit of a MsgKey or an account that is shown, in bytes. The limit of an account itself is the same.
const SHOWN_MAX_BYTES: usize = 1024;

/// The text, cut at a character boundary if it is longer than can be shown. Equal texts stay equal.
pub fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().find(|(at, letter)| at + letter.len_utf8() > SHOWN_MAX_BYTES - 3) {
        Some((end, _)) if text.len() > SHOWN_MAX_BYTES => format!("{}…", &text[..end]),
        _ => text.into_owned(),
    }
}

/// A text as one word of a POSIX shell.
pub fn shell_quoted(text: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-:,/=@%+".contains(letter);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// The command line that prints one record of a topic.
pub fn kcat(brokers: &str, topic: &str, partition: i32, offset: i64) -> String {
    format!(
        "kcat -C -b {} -t {} -p {partition} -o {offset} -c 1 -e -X isolation.level=read_committed -f '%k %p@%o %h\\n%s\\n'",
        shell_quoted(brokers),
        shell_quoted(topic),
    )
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

    #[test]
    fn no_text_leaves_its_word_of_a_shell() {
        assert_eq!(shell_quoted("kafka-1:9092,kafka-2:9092"), "kafka-1:9092,kafka-2:9092");
        assert_eq!(shell_quoted("$(reboot)'; x"), r"'$(reboot)'\''; x'");
        assert_eq!(shell_quoted(""), "''");
    }
}

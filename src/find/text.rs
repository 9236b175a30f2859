//! Command lines that a person can copy.

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
    fn no_text_leaves_its_word_of_a_shell() {
        assert_eq!(shell_quoted("kafka-1:9092,kafka-2:9092"), "kafka-1:9092,kafka-2:9092");
        assert_eq!(shell_quoted("$(reboot)'; x"), r"'$(reboot)'\''; x'");
        assert_eq!(shell_quoted(""), "''");
    }
}

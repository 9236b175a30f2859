//! Escapes untrusted text for a terminal and a log.
//!
//! It escapes all control characters (C0, DEL, C1), line and paragraph separators, bidirectional characters, and
//! zero-width characters. A terminal executes control characters; the others can deceive a reader. All other
//! characters stay unchanged.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde::Serialize;

/// Whether a character can change how a terminal or a reader interprets the text around it.
pub fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{17b4}'
                | '\u{17b5}'
                | '\u{180b}'..='\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns the text on one line, with every unsafe character as `\u{…}` (or `\n`, `\r`, `\t`).
pub fn plain(text: &str) -> Cow<'_, str> {
    replaced(text, is_unsafe, |safe, letter| {
        let _ = write!(safe, "{}", letter.escape_default());
    })
}

/// Like [`plain`], for a text of several lines that the bridge wrote: line ends and tabs stay.
pub fn plain_lines(text: &str) -> Cow<'_, str> {
    let is_unsafe = |letter| is_unsafe(letter) && !matches!(letter, '\n' | '\t');
    replaced(text, is_unsafe, |safe, letter| {
        let _ = write!(safe, "{}", letter.escape_default());
    })
}

/// Returns JSON on one line, with every unsafe character as `\uXXXX`, which means the same to a JSON parser.
///
/// # Errors
/// The value cannot be written as JSON.
pub fn json(value: &impl Serialize) -> serde_json::Result<String> {
    let text = serde_json::to_string(value)?;
    Ok(json_text(&text).into_owned())
}

/// Like [`json`], for a text that is JSON already.
pub fn json_text(text: &str) -> Cow<'_, str> {
    // JSON on one line has unsafe characters only inside strings.
    replaced(text, is_unsafe, |safe, letter| {
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(safe, "\\u{unit:04x}");
        }
    })
}

/// Writing to a string cannot fail, so the callers ignore that result.
fn replaced(text: &str, is_unsafe: impl Fn(char) -> bool, put: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.chars().any(&is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for letter in text.chars() {
        if is_unsafe(letter) {
            put(&mut safe, letter);
        } else {
            safe.push(letter);
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(plain("a\u{1b}[2J\nb公\u{9b}"), "a\\u{1b}[2J\\nb公\\u{9b}");
        assert_eq!(plain_lines("a\u{1b}\n\tb\r"), "a\\u{1b}\n\tb\\r");
    }

    #[test]
    fn deceptive_characters_are_escaped_and_others_are_not() {
        for letter in
            ['\0', '\u{7f}', '\u{85}', '\u{202e}', '\u{2066}', '\u{2028}', '\u{200b}', '\u{feff}', '\u{e0041}']
        {
            assert!(is_unsafe(letter), "{letter:?}");
        }
        for letter in ['a', 'é', '公', '😀', '\\', '"', ' ', '\u{a0}', '\u{fe0f}'] {
            assert!(!is_unsafe(letter), "{letter:?}");
        }
    }

    proptest! {
        #[test]
        fn output_has_no_unsafe_character_and_json_keeps_its_meaning(text in any::<String>()) {
            prop_assert!(!plain(&text).chars().any(is_unsafe));
            let json = json(&text).unwrap();
            prop_assert!(!json.chars().any(is_unsafe));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}

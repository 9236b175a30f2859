//! Numbers, times and lists as people read them.

use std::time::Duration;

use crate::clock;

/// `4,312`.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 entry`, `4,312 entries`.
pub(super) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

/// `3 recalls`.
pub(super) fn recalls(value: u64) -> String {
    count(value, "recall", "recalls")
}

/// `3 recalls wait`.
pub(super) fn wait(value: u64) -> String {
    format!("{} {}", recalls(value), if value == 1 { "waits" } else { "wait" })
}

/// `3 webhooks`.
pub(super) fn webhooks(value: u64) -> String {
    count(value, "webhook", "webhooks")
}

/// `3 webhooks were refused`.
pub(super) fn webhooks_refused(value: u64) -> String {
    format!("{} {} refused", webhooks(value), if value == 1 { "was" } else { "were" })
}

/// `5 minutes`.
pub(super) fn minutes(window: Duration) -> String {
    count(window.as_secs().div_ceil(60), "minute", "minutes")
}

/// `5 h`, `40 min`, `30 s`, `3 days`.
pub(super) fn duration(seconds: f64) -> String {
    let (value, unit) = match seconds {
        s if s < 90.0 => (s, "s"),
        s if s < 5_400.0 => (s / 60.0, "min"),
        s if s < 172_800.0 => (s / 3600.0, "h"),
        s => (s / 86_400.0, "days"),
    };
    format!("{:.0} {unit}", value.max(1.0))
}

/// `12.3 MiB`.
pub(super) fn bytes(value: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one decimal place is shown")]
    let mut shown = value as f64;
    let mut units = ["bytes", "KiB", "MiB", "GiB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    for larger in units {
        if shown < 1024.0 {
            break;
        }
        (shown, unit) = (shown / 1024.0, larger);
    }
    if unit == "bytes" { format!("{value} bytes") } else { format!("{shown:.1} {unit}") }
}

/// `02:14 UTC`, with the date if it is not the date of `now_ms`.
pub(super) fn time_of_day(at_ms: i64, now_ms: i64) -> String {
    let (at, now) = (clock::iso8601(at_ms), clock::iso8601(now_ms));
    let (Some((date, time)), Some((today, _))) = (at.split_once('T'), now.split_once('T')) else { return at };
    let time = time.get(..5).unwrap_or(time);
    if date == today { format!("{time} UTC") } else { format!("{date} {time} UTC") }
}

/// `a, b and c`.
pub(super) fn list(parts: impl Iterator<Item = String>) -> String {
    let mut parts: Vec<String> = parts.collect();
    match parts.pop() {
        None => String::new(),
        Some(last) if parts.is_empty() => last,
        Some(last) => format!("{} and {last}", parts.join(", ")),
    }
}

/// The text with a capital letter and a period.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string()).unwrap_or_default();
    let end = if text.ends_with('.') { "" } else { "." };
    format!("{first}{}{end}", letters.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_times_and_lists_are_readable() {
        assert_eq!([number(7), number(4312), number(1_000_000)], ["7", "4,312", "1,000,000"]);
        assert_eq!([duration(0.2), duration(89.0), duration(600.0)], ["1 s", "89 s", "10 min"]);
        assert_eq!([duration(18_000.0), duration(864_000.0)], ["5 h", "10 days"]);
        assert_eq!([bytes(12), bytes(2048), bytes(1 << 30)], ["12 bytes", "2.0 KiB", "1.0 GiB"]);
        let at = 1_670_574_414_180;
        assert_eq!(time_of_day(at, at), "08:26 UTC");
        assert_eq!(time_of_day(at, at + 86_400_000), "2022-12-09 08:26 UTC");
        assert_eq!(list(["a", "b", "c"].map(str::to_owned).into_iter()), "a, b and c");
        assert_eq!([sentence("set X"), sentence("Done.")], ["Set X.", "Done."]);
    }
}

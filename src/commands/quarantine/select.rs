//! Selects entries by the filter of a command line.

use jiff::Timestamp;

use crate::clock;
use crate::find::shell_quoted;
use crate::quarantine::Filter;
use crate::quarantine::view::time;
use crate::spool::{QuarantineId, Reader, SpoolError, StoredEntry};

/// Conditions of a filter. An entry matches if it meets all given conditions.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct FilterArgs {
    /// Entries with this reason: `malformed`, `stale`, `kafka_too_large` …
    #[arg(long, value_name = "REASON")]
    reason: Option<String>,
    /// Entries of this `Official_Account`.
    #[arg(long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// Entries since this time (2026-01-31T12:00:00Z) or of this last period (90s, 30m, 24h, 7d).
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,
    /// Entries up to this id, inclusive.
    #[arg(long, value_name = "ID", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) through: Option<QuarantineId>,
}

impl FilterArgs {
    pub(super) fn filter(&self) -> Filter {
        Filter {
            reason: self.reason.as_deref().map(Into::into),
            account: self.account.clone(),
            since_ms: self.since,
            through: self.through,
        }
    }

    pub(super) fn is_given(&self) -> bool {
        self.filter() != Filter::default()
    }

    /// Returns the filter as arguments of a command line. A period becomes a fixed time.
    pub(super) fn arguments(&self) -> Vec<String> {
        let named =
            [("--reason", self.reason.clone()), ("--account", self.account.clone()), ("--since", self.since.map(time))];
        let given = named.into_iter().filter_map(|(name, value)| Some([name.to_owned(), value?]));
        given.flatten().collect()
    }
}

/// Calls `each` for each matching entry, in the order of ids, until it returns `false`.
pub(super) fn each_match(
    reader: &Reader,
    filter: &Filter,
    mut each: impl FnMut(&StoredEntry) -> bool,
) -> Result<(), SpoolError> {
    let mut after = 0;
    loop {
        let entries = reader.quarantine_after(after)?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = last.id;
        for entry in entries.iter().filter(|entry| filter.matches(entry)) {
            if !each(entry) {
                return Ok(());
            }
        }
        if filter.is_past(after) {
            return Ok(());
        }
    }
}

/// Quotes arguments for a POSIX shell.
pub(in crate::commands) fn quoted(arguments: &[String]) -> String {
    arguments.iter().map(|argument| shell_quoted(argument)).collect::<Vec<_>>().join(" ")
}

/// Parses a time, or a period before now. Returns UNIX milliseconds.
pub(in crate::commands) fn since(text: &str) -> Result<i64, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_millisecond());
    }
    let help =
        || format!("{text:?} is not a time or a period; write for example 2026-01-31T12:00:00Z, 90s, 30m, 24h or 7d");
    let seconds = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(help()),
    };
    let count: u32 = text[..text.len() - 1].parse().map_err(|_| help())?;
    Ok(clock::now_ms().saturating_sub(i64::from(count) * seconds * 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_or_a_period_is_parsed() {
        assert_eq!(since("1970-01-01T00:00:01.5Z"), Ok(1500));
        let now = clock::now_ms();
        for (text, ago) in [("90s", 90_000), ("30m", 1_800_000), ("24h", 86_400_000), ("7d", 604_800_000)] {
            let since = since(text).unwrap();
            assert!((now - ago..now - ago + 60_000).contains(&since), "{text}");
        }
        for wrong in ["", "soon", "5", "h", "-1h", "1 h", "1é", "2026-01-31"] {
            assert!(since(wrong).unwrap_err().contains("24h"), "{wrong}");
        }
    }

    #[test]
    fn a_shell_splits_the_quoted_command_line_into_the_same_arguments() {
        let arguments = ["drop", "#TOA#_1", "it's", "", "a b", "--since", "2026-01-31T12:00:00.000Z"];
        let line = quoted(&arguments.map(str::to_owned));
        assert_eq!(line, r"drop '#TOA#_1' 'it'\''s' '' 'a b' --since 2026-01-31T12:00:00.000Z");
        #[expect(clippy::disallowed_methods, reason = "the unit tests close no port that they bind again")]
        let output = std::process::Command::new("sh").args(["-c", &format!("printf '%s\\n' {line}")]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().collect::<Vec<_>>(), arguments);
    }
}

//! Parses the texts of variables.

use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::filter::{LevelFilter, Targets};

use super::errors::{ConfigError, ConfigErrors};
use super::variables::{Raw, Setting, VARIABLES, Values, Variable};

/// An invalid value: the problem, and the fix.
pub(super) struct ValueError {
    problem: String,
    fix: String,
}

/// The result of parsing a value.
pub(super) type Parsed<T> = Result<T, ValueError>;

/// Reads variables and collects their errors.
pub(super) struct VariableReader<'r> {
    raw: &'r Raw,
    pub(super) errors: ConfigErrors,
    settings: Vec<Setting>,
}

impl<'r> VariableReader<'r> {
    pub(super) fn new(raw: &'r Raw, errors: ConfigErrors) -> Self {
        Self { raw, errors, settings: Vec::new() }
    }

    /// The text of a variable, if it is set.
    pub(super) fn text(&self, variable: &Variable) -> Option<&'r str> {
        self.raw.text(variable)
    }

    /// Records the value of a variable.
    pub(super) fn record(&mut self, variable: &Variable, value: String, is_default: bool) {
        self.settings.push(Setting { name: variable.name, value, is_default });
    }

    /// All recorded values, in the order of the table.
    pub(super) fn settings(mut self) -> Vec<Setting> {
        self.settings.sort_by_key(|setting| VARIABLES.iter().position(|variable| variable.name == setting.name));
        self.settings
    }

    /// The parsed value of a variable, if it is set and valid. An invalid value becomes an error, and reading
    /// continues.
    fn given<T>(
        &mut self,
        variable: &Variable,
        show: impl Fn(&T) -> String,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> Option<T> {
        match parse(self.text(variable)?) {
            Ok(value) => {
                self.record(variable, show(&value), false);
                Some(value)
            }
            Err(error) => {
                self.errors.push(ConfigError::new(variable.name, error.problem, error.fix));
                None
            }
        }
    }

    /// Parses a variable; returns the default if it is not set. The type has a text form.
    pub(super) fn parsed<T: Display>(
        &mut self,
        variable: &Variable,
        default: T,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> T {
        self.given(variable, T::to_string, parse).unwrap_or_else(|| {
            self.record(variable, default.to_string(), true);
            default
        })
    }

    /// A text; `parse` checks it.
    pub(super) fn checked(&mut self, variable: &Variable, parse: impl FnOnce(&str) -> Parsed<String>) -> String {
        let Values::Text(default) = variable.values else { return String::new() };
        self.parsed(variable, default.to_owned(), parse)
    }

    /// An address and a port.
    pub(super) fn address(&mut self, variable: &Variable) -> SocketAddr {
        let Values::Text(default) = variable.values else { return SocketAddr::from(([0, 0, 0, 0], 0)) };
        let default = default.parse().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0)));
        self.parsed(variable, default, |text| socket_addr(text, default))
    }

    /// A whole number within the range of the table.
    pub(super) fn number(&mut self, variable: &Variable) -> u64 {
        let cores = || std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64);
        let (default, range, unit) = match variable.values {
            Values::Number { default, least, most, unit } => (default, least..=most, unit),
            Values::Threads(most) => (cores().min(most), 1..=most, "threads"),
            _ => (0, 0..=0, ""),
        };
        self.parsed(variable, default, |text| number(text, &range, unit, default))
    }

    /// A number as a `usize`.
    pub(super) fn size(&mut self, variable: &Variable) -> usize {
        usize::try_from(self.number(variable)).unwrap_or(usize::MAX)
    }

    /// A number as a signed integer, as Kafka needs it.
    pub(super) fn signed(&mut self, variable: &Variable) -> i32 {
        i32::try_from(self.number(variable)).unwrap_or(i32::MAX)
    }

    /// A time in whole seconds.
    pub(super) fn seconds(&mut self, variable: &Variable) -> Duration {
        Duration::from_secs(self.number(variable))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, variable: &Variable) -> bool {
        self.parsed(variable, false, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => invalid(text, "is neither true nor false", "write true or false"),
        })
    }

    /// One of the words of the table, if it is set. `shown` stands for the default.
    pub(super) fn word<T: Copy>(
        &mut self,
        variable: &Variable,
        choices: &[(&'static str, T)],
        shown: &str,
    ) -> Option<T> {
        let chosen = self.given(variable, |(word, _): &(&str, T)| (*word).to_owned(), |text| word(text, choices));
        if chosen.is_none() {
            self.record(variable, shown.to_owned(), true);
        }
        chosen.map(|(_, choice)| choice)
    }

    /// The path of a file, if it is set.
    pub(super) fn file(&mut self, variable: &Variable) -> Option<PathBuf> {
        let path = self.text(variable)?;
        self.record(variable, path.to_owned(), false);
        Some(path.into())
    }
}

/// Quotes a value for an error. Long values are cut.
pub(super) fn shown(value: &str) -> String {
    const LONGEST_CHARS: usize = 80;
    match value.char_indices().nth(LONGEST_CHARS) {
        None => format!("{value:?}"),
        Some((cut, _)) => format!("{:?}…", &value[..cut]),
    }
}

fn invalid<T>(value: &str, is: impl Display, fix: impl Into<String>) -> Parsed<T> {
    Err(ValueError { problem: format!("{} {is}", shown(value)), fix: fix.into() })
}

/// A whole number in a range: decimal digits only, no sign, no unit.
fn number(value: &str, range: &RangeInclusive<u64>, unit: &str, example: u64) -> Parsed<u64> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return invalid(
            value,
            format_args!("is not a whole number of {unit}"),
            format!("write digits only, for example {example}"),
        );
    }
    match value.parse().ok().filter(|number| range.contains(number)) {
        Some(number) => Ok(number),
        None => invalid(
            value,
            format_args!("is outside {} to {} {unit}", range.start(), range.end()),
            format!("write a number in that range, for example {example}"),
        ),
    }
}

/// One of a few words.
fn word<T: Copy>(value: &str, words: &[(&'static str, T)]) -> Parsed<(&'static str, T)> {
    if let Some(word) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*word);
    }
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let words = words.join(" or ");
    invalid(value, format_args!("is not {words}"), format!("write {words}"))
}

/// An address and a port.
fn socket_addr(value: &str, example: SocketAddr) -> Parsed<SocketAddr> {
    value.parse().or_else(|_| {
        let port = example.port();
        let fix = format!("write for example {example} or [::]:{port}");
        invalid(value, "is not an IP address and a port", fix)
    })
}

/// The path of a URL: from its `/`, without query and fragment.
pub(super) fn url_path(value: &str) -> Parsed<String> {
    let fix = "write a path such as / or /tencent/recalls";
    if !value.starts_with('/') {
        return invalid(value, "does not start with /", fix);
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b);
    match value.chars().find(|c| !u8::try_from(*c).is_ok_and(legal)) {
        None => Ok(value.to_owned()),
        Some(c) => invalid(value, format_args!("contains {c:?}, which is not allowed in a URL path"), fix),
    }
}

/// A topic name that Kafka accepts.
pub(super) fn topic(value: &str) -> Parsed<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=249).contains(&value.len()) && value.bytes().all(legal) && value != "." && value != ".." {
        return Ok(value.to_owned());
    }
    invalid(
        value,
        "is not a valid topic name",
        "write 1 to 249 of the characters a-z A-Z 0-9 . _ - (neither . nor .. alone)",
    )
}

/// A filter of `tracing-subscriber`: a level, or levels per target.
pub(super) fn log_filter(value: &str) -> Parsed<String> {
    let fix = "write error, warn, info, debug, trace or off, or a filter such as \
               info,librdkafka=debug";
    // The library would read a single unknown word as a target, and would drop all other log lines.
    let bare = !value.contains(['=', ',', ':']);
    if bare && value.parse::<LevelFilter>().is_err() {
        return invalid(value, "is not a log level", fix);
    }
    if value.contains('[') {
        return invalid(value, "selects spans, which the log does not have", fix);
    }
    match value.parse::<Targets>() {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => invalid(value, format_args!("is not a log filter: {error}"), fix),
    }
}

//! From a variable's text to its value, or to what is wrong with it.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::net::SocketAddr;
use std::ops::RangeInclusive;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::faults::{Fault, Faults};

/// A value that cannot be used: what is wrong and what to write instead.
pub(super) struct Bad {
    problem: String,
    fix: String,
}

/// A parsed value.
pub(super) type Parsed<T> = Result<T, Bad>;

/// Reads variable after variable and collects what is wrong.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) faults: Faults,
    pub(super) given: BTreeSet<&'static str>,
}

impl Reader {
    /// The value of one variable: parsed when set, else its default.
    ///
    /// A bad value is noted as a fault and the default stands in, so that reading goes on; the
    /// result is thrown away then.
    pub(super) fn read<T>(
        &mut self,
        name: &'static str,
        text: Option<&str>,
        default: T,
        parse: impl FnOnce(&str) -> Parsed<T>,
    ) -> T {
        let Some(text) = text else {
            return default;
        };
        self.given.insert(name);
        parse(text).unwrap_or_else(|bad| {
            self.faults.push(Fault::new(name, bad.problem, bad.fix));
            default
        })
    }

    /// A whole number within a range.
    pub(super) fn number<T: TryFrom<u64> + Display>(
        &mut self,
        name: &'static str,
        text: Option<&str>,
        default: T,
        range: RangeInclusive<u64>,
        unit: &str,
    ) -> T {
        let example = default.to_string();
        self.read(name, text, default, |text| number(text, range, unit, &example))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, name: &'static str, text: Option<&str>, default: bool) -> bool {
        self.read(name, text, default, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => bad(text, "is neither true nor false", "write true or false"),
        })
    }
}

/// A value as it is quoted in a fault: long ones are cut.
pub(super) fn shown(value: &str) -> String {
    const LONGEST_CHARS: usize = 80;
    match value.char_indices().nth(LONGEST_CHARS) {
        None => format!("{value:?}"),
        Some((cut, _)) => format!("{:?}…", &value[..cut]),
    }
}

fn bad<T>(value: &str, is: impl Display, fix: impl Into<String>) -> Parsed<T> {
    Err(Bad { problem: format!("{} {is}", shown(value)), fix: fix.into() })
}

/// A whole number in a range: decimal digits only, no sign, no unit.
fn number<T: TryFrom<u64>>(value: &str, range: RangeInclusive<u64>, unit: &str, example: &str) -> Parsed<T> {
    if value.is_empty() || !value.bytes().all(|b| b.is_ascii_digit()) {
        return bad(
            value,
            format_args!("is not a whole number of {unit}"),
            format!("write digits only, for example {example}"),
        );
    }
    let in_range = value.parse().ok().filter(|number| range.contains(number));
    match in_range.and_then(|number| T::try_from(number).ok()) {
        Some(number) => Ok(number),
        None => bad(
            value,
            format_args!("is outside {} to {} {unit}", range.start(), range.end()),
            format!("write a number in that range, for example {example}"),
        ),
    }
}

/// One of a few words.
pub(super) fn word<T: Copy>(value: &str, words: &[(&str, T)]) -> Parsed<T> {
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == value) {
        return Ok(*meaning);
    }
    let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let words = words.join(" or ");
    bad(value, format_args!("is not {words}"), format!("write {words}"))
}

/// An address and a port.
pub(super) fn socket_addr(value: &str, example: SocketAddr) -> Parsed<SocketAddr> {
    value.parse().or_else(|_| {
        let port = example.port();
        let fix = format!("write for example {example} or [::]:{port}");
        bad(value, "is not an IP address and a port", fix)
    })
}

/// The path of a URL: from its `/`, without query and fragment.
pub(super) fn url_path(value: &str) -> Parsed<String> {
    let fix = "write a path such as / or /tencent/recalls";
    if !value.starts_with('/') {
        return bad(value, "does not start with /", fix);
    }
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&b);
    match value.chars().find(|c| !u8::try_from(*c).is_ok_and(legal)) {
        None => Ok(value.to_owned()),
        Some(c) => bad(value, format_args!("holds {c:?}, which no URL path may"), fix),
    }
}

/// A name that Kafka takes for a topic.
pub(super) fn topic(value: &str) -> Parsed<String> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    if (1..=249).contains(&value.len()) && value.bytes().all(legal) && value != "." && value != ".." {
        return Ok(value.to_owned());
    }
    bad(value, "is no legal topic name", "write 1 to 249 of the characters a-z A-Z 0-9 . _ - (neither . nor .. alone)")
}

/// A filter of `tracing-subscriber`: a level, or levels per target.
pub(super) fn log_filter(value: &str) -> Parsed<String> {
    let fix = "write error, warn, info, debug, trace or off, or a filter such as \
               info,librdkafka=debug";
    // A single word that is no level would be taken as a target, and silence everything else.
    let bare = !value.contains(['=', ',', '[', ':']);
    if bare && value.parse::<LevelFilter>().is_err() {
        return bad(value, "is not a log level", fix);
    }
    match EnvFilter::builder().parse(value) {
        Ok(_) => Ok(value.to_owned()),
        Err(error) => bad(value, format_args!("is not a log filter: {error}"), fix),
    }
}

//! The parameters of a request's query.

use std::str::FromStr;

use percent_encoding::percent_decode;

/// Names and values, decoded.
#[derive(Debug)]
pub(super) struct Params(Vec<(String, String)>);

/// A parameter that cannot be used, as a sentence.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ParamError(pub(super) String);

impl Params {
    /// The parameters of a query, all with names of `known`, each at most once.
    pub(super) fn new(query: &[u8], known: &[&str]) -> Result<Self, ParamError> {
        let mut all: Vec<(String, String)> = Vec::new();
        for part in query.split(|byte| *byte == b'&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_at(part.iter().position(|byte| *byte == b'=').unwrap_or(part.len()));
            let (name, value) = (decoded(name)?, decoded(value.get(1..).unwrap_or_default())?);
            if !known.contains(&name.as_str()) {
                return Err(ParamError(format!("query: takes {}", known.join(", "))));
            }
            if all.iter().any(|(other, _)| *other == name) {
                return Err(ParamError(format!("{name}: given more than once")));
            }
            all.push((name, value));
        }
        Ok(Self(all))
    }

    /// The text of a parameter; an empty one counts as not given.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// A whole number within these limits, inclusive.
    pub(super) fn number<N: FromStr + PartialOrd + std::fmt::Display>(
        &self,
        name: &str,
        least: &N,
        most: &N,
    ) -> Result<Option<N>, ParamError> {
        let Some(text) = self.text(name) else { return Ok(None) };
        match text.parse() {
            Ok(number) if number >= *least && number <= *most => Ok(Some(number)),
            _ => Err(ParamError(format!("{name}: a number from {least} to {most}"))),
        }
    }
}

fn decoded(bytes: &[u8]) -> Result<String, ParamError> {
    let spaced: Vec<u8> = bytes.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    let text = percent_decode(&spaced).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| ParamError("query: not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_checked() {
        let params = Params::new(b"key=%23TOA%23_1+x&limit=5&", &["key", "limit"]).unwrap();
        assert_eq!((params.text("key"), params.text("other")), (Some("#TOA#_1 x"), None));
        assert_eq!(params.number("limit", &1, &10), Ok(Some(5)));
        assert!(params.number("limit", &1, &4).is_err() && params.number::<u8>("key", &0, &9).is_err());
        for wrong in [&b"other=1"[..], b"key=1&key=2", b"key=%ff"] {
            assert!(Params::new(wrong, &["key", "limit"]).is_err());
        }
    }
}

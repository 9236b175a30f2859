//! The URL's query string. It holds every parameter of the vendor; the body holds the recall.

use std::borrow::Cow;

/// The parameters that the bridge uses, decoded and not yet verified.
///
/// Memory is allocated only for a value with an escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query<'q> {
    /// `SdkAppid`: the app of the webhook.
    pub(super) sdk_app_id: u64,
    /// `CallbackCommand`: the kind of webhook; not empty.
    pub(super) command: Cow<'q, str>,
    /// `ClientIP`: the address of the client that recalled the message, in any form.
    pub(super) client_ip: Option<Cow<'q, str>>,
    /// `OptPlatform`: the platform of that client. The vendor may add names.
    pub(super) opt_platform: Option<Cow<'q, str>>,
    /// `Sign`: authenticates the webhook of an app that has tokens.
    pub(super) sign: Param<'q>,
    /// `RequestTime`: UNIX seconds, authenticated by `Sign`.
    pub(super) request_time: Param<'q>,
}

/// A parameter that the checks need. Every state except `Once` is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Param<'q> {
    /// The query does not contain it.
    Missing,
    /// The query contains it once.
    Once(Cow<'q, str>),
    /// The query contains it once, with an invalid escape or with bytes that are not UTF-8.
    Undecodable,
    /// The query contains it more than once, so its value is ambiguous.
    Repeated,
}

/// An error in a query string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// A parameter that the checks need cannot be decoded to text.
    #[error("{0}: not decodable; expected %XX escapes of UTF-8")]
    Undecodable(&'static str),
    /// A required parameter is missing.
    #[error("{0}: missing in the query")]
    Missing(&'static str),
    /// A parameter that may occur only once occurs more than once.
    #[error("{0}: more than once in the query")]
    Repeated(&'static str),
    /// `SdkAppid` is not an id.
    #[error("SdkAppid: not an app id; expected digits only, up to 18446744073709551615")]
    BadAppId,
    /// `CallbackCommand` has no value.
    #[error("CallbackCommand: empty in the query")]
    EmptyCommand,
}

const SDK_APP_ID: &str = "SdkAppid";
const COMMAND: &str = "CallbackCommand";
const SIGN: &str = "Sign";
/// The length of a `Sign`.
const SIGN_DIGITS: usize = 64;
const HIDDEN: &str = "[hidden]";
/// Longest `ClientIP` and `OptPlatform` that are passed on, in bytes. An IPv6 address with a zone takes
/// up to 61 (the zone is the name of a network interface), the longest documented platform 7.
pub(super) const CLIENT_IP_MAX_BYTES: usize = 64;
pub(super) const OPT_PLATFORM_MAX_BYTES: usize = 64;

impl<'q> Query<'q> {
    /// Decodes a query string (what follows the `?`, as it stood in the request) in form style: `+` is a
    /// space, `%XX` a byte, any other byte itself. Names are case-sensitive.
    ///
    /// Only the parameters that the checks need must be decodable. Of several `ClientIP` or `OptPlatform`, the first
    /// one is used. It counts as missing if it is empty, is not UTF-8 or exceeds its limit; an invalid escape in it
    /// stays as it is (`fe80::1%eth0`). Other parameters are ignored.
    ///
    /// # Errors
    ///
    /// `SdkAppid` or `CallbackCommand` missing, repeated, undecodable, or not as documented.
    pub(super) fn parse(query: &'q [u8]) -> Result<Self, QueryError> {
        let mut sdk_app_id = Param::Missing;
        let mut command = Param::Missing;
        let mut client_ip = None;
        let mut opt_platform = None;
        let mut sign = Param::Missing;
        let mut request_time = Param::Missing;
        // The vendor's query has no escapes: then nothing is searched for them again.
        let unescape = if memchr::memchr2(b'%', b'+', query).is_none() { plain } else { unescape };
        for pair in pairs(query) {
            let (name, value) = split_pair(pair);
            // A name that cannot be decoded is not a documented parameter.
            let Some(name) = unescape(name) else { continue };
            let value_text = || unescape(value).and_then(text);
            match name.as_ref() {
                b"SdkAppid" => sdk_app_id.put(value_text),
                b"CallbackCommand" => command.put(value_text),
                b"ClientIP" => drop(client_ip.get_or_insert_with(|| informal(value, CLIENT_IP_MAX_BYTES))),
                b"OptPlatform" => drop(opt_platform.get_or_insert_with(|| informal(value, OPT_PLATFORM_MAX_BYTES))),
                b"Sign" => sign.put(value_text),
                b"RequestTime" => request_time.put(value_text),
                // `contenttype` is ignored too, because the format of the body is known.
                _ => {}
            }
        }
        Ok(Self {
            sdk_app_id: read_app_id(&sdk_app_id.required(SDK_APP_ID)?)?,
            command: Some(command.required(COMMAND)?)
                .filter(|command| !command.is_empty())
                .ok_or(QueryError::EmptyCommand)?,
            client_ip: client_ip.flatten(),
            opt_platform: opt_platform.flatten(),
            sign,
            request_time,
        })
    }
}

impl<'q> Param<'q> {
    fn put(&mut self, value: impl FnOnce() -> Option<Cow<'q, str>>) {
        *self = match self {
            Self::Missing => value().map_or(Self::Undecodable, Self::Once),
            Self::Once(_) | Self::Undecodable | Self::Repeated => Self::Repeated,
        };
    }

    fn required(self, name: &'static str) -> Result<Cow<'q, str>, QueryError> {
        match self {
            Self::Once(value) => Ok(value),
            Self::Missing => Err(QueryError::Missing(name)),
            Self::Undecodable => Err(QueryError::Undecodable(name)),
            Self::Repeated => Err(QueryError::Repeated(name)),
        }
    }
}

/// Returns the query without its `Sign` parameters, for storage and the log. A `Sign` is valid for a minute. A run of
/// 64 or more hex digits elsewhere is replaced, because it can be a `Sign` under a wrong name. Parameters of which the
/// record is made keep their values.
///
/// All other bytes stay unchanged, except bytes that are not UTF-8: they become `%XX`, which decodes to the same
/// bytes. The function also accepts a query that cannot be decoded.
pub fn without_sign(query: &[u8]) -> String {
    let mut kept = String::with_capacity(query.len());
    let mut first = true;
    for pair in query.split(|&byte| byte == b'&').filter(|pair| !is_sign(pair)) {
        if !first {
            kept.push('&');
        }
        first = false;
        let mut text = String::with_capacity(pair.len());
        for chunk in pair.utf8_chunks() {
            text.push_str(chunk.valid());
            text.extend(chunk.invalid().iter().map(|byte| percent_encoding::percent_encode_byte(*byte)));
        }
        kept.push_str(&if is_recorded(pair) { text } else { without_digits(text) });
    }
    kept
}

/// Whether a parameter becomes part of a record.
fn is_recorded(pair: &[u8]) -> bool {
    let name = unescape(split_pair(pair).0);
    matches!(name.as_deref(), Some(b"SdkAppid" | b"CallbackCommand" | b"ClientIP" | b"OptPlatform"))
}

/// Replaces every run of hex digits that can be a `Sign`.
fn without_digits(text: String) -> String {
    // A number can have leading zeros; a SHA-256 has letters.
    let is_run = |part: &str| part.len() >= SIGN_DIGITS && part.contains(|letter: char| letter.is_ascii_alphabetic());
    if !text.split(|letter: char| !letter.is_ascii_hexdigit()).any(is_run) {
        return text;
    }
    let mut kept = String::with_capacity(text.len());
    for part in text.split_inclusive(|letter: char| !letter.is_ascii_hexdigit()) {
        let digits = part.trim_end_matches(|letter: char| !letter.is_ascii_hexdigit());
        kept.push_str(if is_run(digits) { HIDDEN } else { digits });
        kept.push_str(&part[digits.len()..]);
    }
    kept
}

/// Returns whether a `CallbackCommand` of a query names a command for which `is_named` is true. The function also
/// accepts an invalid query, because the result decides only how a webhook is counted.
pub fn names_command(query: &[u8], is_named: impl Fn(&str) -> bool) -> bool {
    query.split(|&byte| byte == b'&').map(split_pair).any(|(name, value)| {
        percent_encoding::percent_decode(name).eq(COMMAND.bytes())
            && percent_encoding::percent_decode(value).decode_utf8().is_ok_and(|command| is_named(&command))
    })
}

/// The parts of a query between `&`.
fn pairs(query: &[u8]) -> impl Iterator<Item = &[u8]> {
    let ends = memchr::memchr_iter(b'&', query).chain([query.len()]);
    let mut start = 0;
    ends.map(move |end| &query[std::mem::replace(&mut start, end + 1)..end])
}

pub(super) fn split_pair(pair: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], &pair[at + 1..]),
        None => (pair, b""),
    }
}

fn is_sign(pair: &[u8]) -> bool {
    // A `+` needs no decoding here: it stands for a space, and `Sign` contains no space.
    percent_encoding::percent_decode(split_pair(pair).0).eq(SIGN.bytes())
}

/// Decodes a value that no check needs. Returns `None` if it is not usable.
fn informal(value: &[u8], max_bytes: usize) -> Option<Cow<'_, str>> {
    // Nothing decodes to more than it is, or to less than a third.
    if value.is_empty() || value.len() > max_bytes * 3 {
        return None;
    }
    let text = if memchr::memchr2(b'%', b'+', value).is_some() {
        let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
        text(Cow::Owned(percent_encoding::percent_decode(&spaced).collect()))?
    } else {
        text(Cow::Borrowed(value))?
    };
    (text.len() <= max_bytes).then_some(text)
}

pub(super) fn read_app_id(text: &str) -> Result<u64, QueryError> {
    // `u64::from_str` accepts a leading plus sign, so the digits are checked first.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| QueryError::BadAppId)
    } else {
        Err(QueryError::BadAppId)
    }
}

/// Strict form decoding to text; `None` for a malformed escape or no UTF-8.
pub(super) fn decode(value: &[u8]) -> Option<Cow<'_, str>> {
    text(unescape(value)?)
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Form decoding of bytes without escapes.
#[expect(clippy::unnecessary_wraps, reason = "it replaces `unescape`")]
fn plain(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    Some(Cow::Borrowed(value))
}

/// Strict form decoding to bytes; `None` for a malformed escape.
pub(super) fn unescape(value: &[u8]) -> Option<Cow<'_, [u8]>> {
    if memchr::memchr2(b'%', b'+', value).is_none() {
        return Some(Cow::Borrowed(value));
    }
    let mut decoded = Vec::with_capacity(value.len());
    let mut rest = value;
    while let [byte, tail @ ..] = rest {
        rest = match byte {
            b'+' => {
                decoded.push(b' ');
                tail
            }
            b'%' => {
                let (digits, tail) = tail.split_first_chunk::<2>()?;
                let mut escaped = [0];
                hex::decode_to_slice(digits, &mut escaped).ok()?;
                decoded.extend(escaped);
                tail
            }
            &plain => {
                decoded.push(plain);
                tail
            }
        };
    }
    Some(Cow::Owned(decoded))
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;

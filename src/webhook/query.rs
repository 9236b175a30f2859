//! The URL's query string, where the vendor puts everything but the recall.

use std::borrow::Cow;

/// The parameters that mean something to us, decoded, not yet believed.
///
/// Nothing is allocated unless a value holds an escape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Query<'q> {
    /// `SdkAppid`: the app the delivery is for.
    pub(super) sdk_app_id: u64,
    /// `CallbackCommand`: what happened; not empty.
    pub(super) command: Cow<'q, str>,
    /// `ClientIP`: where the recall came from, in any form the vendor likes.
    pub(super) client_ip: Option<Cow<'q, str>>,
    /// `OptPlatform`: what the recall was made with; new names may come.
    pub(super) opt_platform: Option<Cow<'q, str>>,
    /// `Sign`: what proves the delivery, for an app that has tokens.
    pub(super) sign: Param<'q>,
    /// `RequestTime`: UNIX seconds, which `Sign` covers.
    pub(super) request_time: Param<'q>,
}

/// A parameter whose faults count only for an app that has tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Param<'q> {
    /// Not in the query.
    Missing,
    /// There once.
    Once(Cow<'q, str>),
    /// There more than once: which one counts would be a guess.
    Repeated,
}

/// What is wrong with a query string.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryFault {
    /// A pair does not decode to text.
    #[error(
        "query parameter number {number}: not decodable; \
         expected %XX escapes of UTF-8 in its name and value"
    )]
    Undecodable {
        /// The pair's number, counted from 1.
        number: usize,
    },
    /// A required parameter is not there.
    #[error("{0}: missing in the query")]
    Missing(&'static str),
    /// A parameter that must be there once is there more often.
    #[error("{0}: more than once in the query")]
    Repeated(&'static str),
    /// `SdkAppid` is no id.
    #[error("SdkAppid: not an app id; expected digits only, up to 18446744073709551615")]
    BadAppId,
    /// `CallbackCommand` has no value.
    #[error("CallbackCommand: empty in the query")]
    EmptyCommand,
}

const SDK_APP_ID: &str = "SdkAppid";
const COMMAND: &str = "CallbackCommand";
const SIGN: &str = "Sign";

impl<'q> Query<'q> {
    /// Decodes a query string (what follows the `?`) in form style: `+` is a
    /// space, `%XX` a byte. Names are case-sensitive. Of `ClientIP` and
    /// `OptPlatform` the first one counts, and an empty one is none.
    ///
    /// # Errors
    ///
    /// A malformed escape or text that is not UTF-8 anywhere, also in a
    /// parameter of no meaning; `SdkAppid` or `CallbackCommand` missing,
    /// repeated, or not as documented.
    pub(super) fn parse(query: &'q str) -> Result<Self, QueryFault> {
        let mut sdk_app_id = Param::Missing;
        let mut command = Param::Missing;
        let mut client_ip = None;
        let mut opt_platform = None;
        let mut sign = Param::Missing;
        let mut request_time = Param::Missing;
        for (number, pair) in (1..).zip(query.split('&')) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(QueryFault::Undecodable { number });
            };
            match name.as_ref() {
                SDK_APP_ID => sdk_app_id.put(value),
                COMMAND => command.put(value),
                "ClientIP" => drop(client_ip.get_or_insert(value)),
                "OptPlatform" => drop(opt_platform.get_or_insert(value)),
                SIGN => sign.put(value),
                "RequestTime" => request_time.put(value),
                // `contenttype` too: the body decides what it is.
                _ => {}
            }
        }
        Ok(Self {
            sdk_app_id: read_app_id(&sdk_app_id.required(SDK_APP_ID)?)?,
            command: Some(command.required(COMMAND)?)
                .filter(|command| !command.is_empty())
                .ok_or(QueryFault::EmptyCommand)?,
            client_ip: client_ip.filter(|ip| !ip.is_empty()),
            opt_platform: opt_platform.filter(|platform| !platform.is_empty()),
            sign,
            request_time,
        })
    }
}

impl<'q> Param<'q> {
    fn put(&mut self, value: Cow<'q, str>) {
        *self = match self {
            Self::Missing => Self::Once(value),
            Self::Once(_) | Self::Repeated => Self::Repeated,
        };
    }

    fn required(self, name: &'static str) -> Result<Cow<'q, str>, QueryFault> {
        match self {
            Self::Once(value) => Ok(value),
            Self::Missing => Err(QueryFault::Missing(name)),
            Self::Repeated => Err(QueryFault::Repeated(name)),
        }
    }
}

/// The query without any `Sign` parameter, all else byte for byte: what may be
/// kept or logged. A `Sign` is a proof that is good for a minute.
///
/// Works on a query that does not decode, too.
pub fn without_sign(query: &str) -> String {
    let mut kept = String::with_capacity(query.len());
    let mut first = true;
    for pair in query.split('&').filter(|pair| !is_sign(pair)) {
        if !first {
            kept.push('&');
        }
        first = false;
        kept.push_str(pair);
    }
    kept
}

fn is_sign(pair: &str) -> bool {
    let name = pair.split_once('=').map_or(pair, |(name, _)| name);
    // No `+` to heed: it decodes to a space, which `Sign` has none of.
    percent_encoding::percent_decode_str(name).eq(SIGN.bytes())
}

fn read_app_id(text: &str) -> Result<u64, QueryFault> {
    // `u64::from_str` alone would take a leading plus sign.
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().map_err(|_| QueryFault::BadAppId)
    } else {
        Err(QueryFault::BadAppId)
    }
}

/// Strict form decoding; `None` for a malformed escape or no UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
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
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[expect(clippy::ptr_arg, reason = "whether it is borrowed is the question")]
    fn is_borrowed(text: &Cow<'_, str>) -> bool {
        matches!(text, Cow::Borrowed(_))
    }

    #[test]
    fn borrows_what_needs_no_decoding() {
        let query = Query::parse("SdkAppid=1&CallbackCommand=a.b&ClientIP=::1&OptPlatform=Web");
        let query = query.unwrap();
        assert!(is_borrowed(&query.command));
        assert!(query.client_ip.as_ref().is_some_and(is_borrowed));
        assert!(query.opt_platform.as_ref().is_some_and(is_borrowed));
        assert_eq!(query.sign, Param::Missing);
    }

    #[test]
    fn decodes_names_and_values() {
        let query = Query::parse("&Sdk%41ppid=%31&CallbackCommand=a%2eb+c&ClientIP=%E5%85%AC&&x");
        let query = query.unwrap();
        assert_eq!(query.sdk_app_id, 1);
        assert_eq!(query.command, "a.b c");
        assert_eq!(query.client_ip.unwrap(), "公");
    }

    #[test]
    fn the_first_platform_wins_and_empty_is_none() {
        let query = "SdkAppid=1&CallbackCommand=c&OptPlatform=iOS&OptPlatform=&ClientIP=&ClientIP=x";
        let query = Query::parse(query).unwrap();
        assert_eq!(query.opt_platform.unwrap(), "iOS");
        assert_eq!(query.client_ip, None);
    }

    #[test]
    fn undecodable_anywhere_is_a_fault() {
        for bad in ["x=%", "x=%4", "x=%zz", "x=%+1", "%F=1", "contenttype=%FF", "x=%é1"] {
            let query = format!("SdkAppid=1&CallbackCommand=c&{bad}");
            let fault = QueryFault::Undecodable { number: 3 };
            assert_eq!(Query::parse(&query), Err(fault), "{bad}");
        }
    }

    #[test]
    fn the_required_two_are_there_once_and_well_formed() {
        for (query, fault) in [
            ("", QueryFault::Missing(SDK_APP_ID)),
            ("sdkappid=1&CallbackCommand=c", QueryFault::Missing(SDK_APP_ID)),
            ("SdkAppid=1&SdkAppid=1&CallbackCommand=c", QueryFault::Repeated(SDK_APP_ID)),
            ("SdkAppid=&CallbackCommand=c", QueryFault::BadAppId),
            ("SdkAppid=%2B1&CallbackCommand=c", QueryFault::BadAppId),
            ("SdkAppid=-1&CallbackCommand=c", QueryFault::BadAppId),
            ("SdkAppid=18446744073709551616&CallbackCommand=c", QueryFault::BadAppId),
            ("SdkAppid=1", QueryFault::Missing(COMMAND)),
            ("SdkAppid=1&CallbackCommand", QueryFault::EmptyCommand),
            ("SdkAppid=1&CallbackCommand=c&CallbackCommand=c", QueryFault::Repeated(COMMAND)),
        ] {
            assert_eq!(Query::parse(query), Err(fault), "{query}");
        }
    }

    #[test]
    fn without_sign_takes_out_sign_and_nothing_else() {
        for (query, kept) in [
            ("", ""),
            ("Sign=x", ""),
            ("a=1&Sign=x&b=%zz", "a=1&b=%zz"),
            ("%53ign=x&a=1&S%69g%6e&a=1", "a=1&a=1"),
            ("sign=x&Signs=y&a=Sign=z&%2553ign=1", "sign=x&Signs=y&a=Sign=z&%2553ign=1"),
            ("a&&b&Sign=%", "a&&b"),
        ] {
            assert_eq!(without_sign(query), kept, "{query}");
        }
    }

    proptest! {
        #[test]
        fn parse_never_panics(query in any::<String>()) {
            let _ = Query::parse(&query);
        }

        #[test]
        fn without_sign_leaves_no_sign_and_touches_no_other(
            pairs in prop::collection::vec("(Sign|%53ign|S%69gn|sign|a|%|%zz|)(=[a%&=+S5]{0,4})?", 0..6),
        ) {
            let kept = without_sign(&pairs.join("&"));
            for pair in kept.split('&') {
                let name = pair.split('=').next().unwrap();
                let name = decode(name);
                prop_assert_ne!(name.as_deref(), Some(SIGN));
            }
            prop_assert_eq!(without_sign(&kept), kept);
        }
    }
}

//! Reads a refused query as far as possible, without verification.

use std::borrow::Cow;

use super::query::{decode, read_app_id, split_pair, unescape};

/// The readable parameters of a query. They are not verified.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryGlance<'q> {
    /// The first `SdkAppid` that is a number.
    pub sdk_app_id: Option<u64>,
    /// Every `CallbackCommand` that can be decoded.
    pub commands: Vec<Cow<'q, str>>,
}

/// Reads the app and the commands of any query, also of a query that [`verify`](super::verify()) refuses.
pub fn glance(query: &[u8]) -> QueryGlance<'_> {
    let mut glance = QueryGlance::default();
    for (name, value) in query.split(|&byte| byte == b'&').map(split_pair) {
        match unescape(name).as_deref() {
            Some(b"SdkAppid") if glance.sdk_app_id.is_none() => {
                glance.sdk_app_id = decode(value).and_then(|text| read_app_id(&text).ok());
            }
            Some(b"CallbackCommand") => glance.commands.extend(decode(value)),
            _ => {}
        }
    }
    glance
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_query_is_read_as_far_as_possible() {
        let read = glance(b"SdkAppid=x&SdkAppid=7&CallbackCommand=a%2Eb&CallbackCommand=%zz&Callback%43ommand=c&=");
        assert_eq!((read.sdk_app_id, read.commands), (Some(7), vec!["a.b".into(), "c".into()]));
        assert_eq!(glance(b""), QueryGlance::default());
        assert_eq!(glance(b"SdkAppid=+1&sdkappid=2"), QueryGlance::default());
    }
}

//! Compares the path of a request with the path of the webhook.

use std::borrow::Cow;

/// A normalized path: `%XX` decoded, repeated slashes joined, no slash at the end. A trailing or doubled slash in the
/// console's URL must not lose a recall.
pub(super) fn normal(path: &[u8]) -> Cow<'_, [u8]> {
    let decoded: Cow<'_, [u8]> = percent_encoding::percent_decode(path).into();
    let doubled = decoded.windows(2).any(|two| two == b"//");
    let trailing = decoded.len() > 1 && decoded.ends_with(b"/");
    if !doubled && !trailing && !decoded.is_empty() {
        return decoded;
    }
    let mut normal = Vec::with_capacity(decoded.len());
    for part in decoded.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        normal.push(b'/');
        normal.extend_from_slice(part);
    }
    if normal.is_empty() {
        normal.push(b'/');
    }
    normal.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_escapes_that_mean_nothing_are_the_same_path() {
        for path in ["/im/callback", "/im/callback/", "//im//callback//", "/im/%63allback", "/im%2Fcallback"] {
            assert_eq!(normal(path.as_bytes()).as_ref(), b"/im/callback", "{path}");
        }
        for path in ["/", "//", "", "///"] {
            assert_eq!(normal(path.as_bytes()).as_ref(), b"/", "{path}");
        }
        for path in ["/im/callbac", "/im/callback/x", "/IM/callback", "/im/./callback"] {
            assert_ne!(normal(path.as_bytes()).as_ref(), b"/im/callback", "{path}");
        }
    }
}

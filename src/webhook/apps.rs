//! The configured apps and their authentication tokens.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A webhook authentication token, as set in the vendor's console.
///
/// It is a secret: it has no `Display` and no `Serialize`, and its `Debug` is `Token(***)`. Its memory is overwritten
/// when it is dropped.
#[derive(Clone)]
pub struct Token(Zeroizing<Box<str>>);

/// The error for a token without characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is empty; give the one set in the vendor's console")]
pub struct EmptyToken;

impl FromStr for Token {
    type Err = EmptyToken;

    fn from_str(text: &str) -> Result<Self, EmptyToken> {
        if text.is_empty() { Err(EmptyToken) } else { Ok(Self(Zeroizing::new(text.into()))) }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

impl Token {
    /// Returns the `Sign` for `request_time` (UNIX seconds, in decimal): the lower-case hex SHA-256 of the token's
    /// text followed by the text of the request time.
    pub fn sign(&self, request_time: &str) -> String {
        hex::encode(self.digest(request_time))
    }

    pub(super) fn digest(&self, request_time: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0.as_bytes()).chain_update(request_time.as_bytes()).finalize().into()
    }
}

/// The configured apps: each `SdkAppid` with its tokens. The webhooks of an app without tokens are accepted unsigned.
#[derive(Clone, Debug, Default)]
pub struct Apps(BTreeMap<u64, Vec<Token>>);

impl Apps {
    /// Reads `sdkappid[:token[|token]]` entries, separated by commas or line breaks. Several tokens are a rotation: a
    /// webhook may be signed with any of them. Blank entries are ignored, and so is whitespace around an entry, its
    /// id and its tokens.
    ///
    ///
    /// # Errors
    ///
    /// All errors of the text, in their order.
    pub fn parse(text: &str, allow_unsigned: bool) -> Result<Self, Vec<AppsError>> {
        let mut apps = BTreeMap::new();
        let mut faults = Vec::new();
        let entries = text.split([',', '\n', '\r']).map(str::trim).filter(|entry| !entry.is_empty());
        for (entry, text) in (1..).zip(entries) {
            let (id, tokens) = split_entry(text);
            let Some(sdk_app_id) = read_id(id) else {
                faults.push(AppsError::BadId { entry });
                continue;
            };
            let tokens = read_tokens(entry, sdk_app_id, tokens, allow_unsigned).unwrap_or_else(|fault| {
                faults.push(fault);
                Vec::new()
            });
            // Inserted after an error too, so that a second entry of the app is reported as repeated.
            if apps.insert(sdk_app_id, tokens).is_some() {
                faults.push(AppsError::Repeated { entry, sdk_app_id });
            }
        }
        if apps.is_empty() && faults.is_empty() {
            faults.push(AppsError::None);
        }
        if faults.is_empty() { Ok(Self(apps)) } else { Err(faults) }
    }

    /// Returns the tokens of an app: an empty slice if its webhooks are unsigned, `None` if the app is not
    /// configured.
    pub fn get(&self, sdk_app_id: u64) -> Option<&[Token]> {
        self.0.get(&sdk_app_id).map(Vec::as_slice)
    }

    /// Returns the ids of all apps, ascending, with the number of characters of each token. The number shows a
    /// truncated token and does not help to guess it.
    pub fn token_lengths(&self) -> impl Iterator<Item = (u64, Vec<usize>)> + '_ {
        self.0.iter().map(|(app, tokens)| (*app, tokens.iter().map(|token| token.0.chars().count()).collect()))
    }

    /// Returns `sdkappid:***|***,…`: the configured apps without their tokens.
    pub fn redacted(&self) -> String {
        let entry = |(app, tokens): (&u64, &Vec<Token>)| match tokens.len() {
            0 => app.to_string(),
            count => format!("{app}:{}", vec!["***"; count].join("|")),
        };
        self.0.iter().map(entry).collect::<Vec<_>>().join(",")
    }

    /// Returns whether a token is the placeholder of the examples, `change-me`, in any spelling.
    pub fn has_placeholder(&self) -> bool {
        self.0.values().flatten().any(|Token(token)| {
            let letters = token.chars().filter(char::is_ascii_alphanumeric).map(|letter| letter.to_ascii_lowercase());
            letters.eq("changeme".chars())
        })
    }

    /// Returns the ids of all apps, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.keys().copied()
    }
}

fn split_entry(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((id, tokens)) => (id.trim_end(), Some(tokens)),
        None => (text, None),
    }
}

fn read_id(text: &str) -> Option<u64> {
    // `u64::from_str` accepts a leading plus sign, so the digits are checked first.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn read_tokens(
    entry: usize,
    sdk_app_id: u64,
    tokens: Option<&str>,
    allow_unsigned: bool,
) -> Result<Vec<Token>, AppsError> {
    match tokens {
        Some(tokens) => tokens.split('|').map(|token| read_token(entry, sdk_app_id, token.trim())).collect(),
        None if allow_unsigned => Ok(Vec::new()),
        None => Err(AppsError::Unsigned { entry, sdk_app_id }),
    }
}

fn read_token(entry: usize, sdk_app_id: u64, token: &str) -> Result<Token, AppsError> {
    if token.contains(char::is_whitespace) {
        return Err(AppsError::Whitespace { entry, sdk_app_id });
    }
    token.parse().map_err(|EmptyToken| AppsError::EmptyToken { entry, sdk_app_id })
}

/// An error in the configured apps.
///
/// Entries are counted from 1, without blank entries. An error contains no text of the entry, because a token with a
/// comma can stand in the place of an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppsError {
    /// The text before the colon is not an id.
    #[error("entry {entry}: the SdkAppid is not a number; write sdkappid:token, the id in digits only")]
    BadId {
        /// The entry's number.
        entry: usize,
    },
    /// An earlier entry names the same app.
    #[error(
        "entry {entry}: app {sdk_app_id} is listed twice; write one entry for it, \
         tokens separated by |"
    )]
    Repeated {
        /// The number of the later entry.
        entry: usize,
        /// The app.
        sdk_app_id: u64,
    },
    /// The entry has a colon, but a token after it is empty.
    #[error(
        "entry {entry}: app {sdk_app_id} has an empty token; remove the spare | or put the token \
         behind the colon"
    )]
    EmptyToken {
        /// The entry's number.
        entry: usize,
        /// The app.
        sdk_app_id: u64,
    },
    /// A token contains whitespace. Probably two entries are not separated.
    #[error(
        "entry {entry}: a token of app {sdk_app_id} contains whitespace; separate apps by a comma or a line break, and \
         tokens of one app by |"
    )]
    Whitespace {
        /// The entry's number.
        entry: usize,
        /// The app.
        sdk_app_id: u64,
    },
    /// The app has no token, and unsigned webhooks are not allowed.
    #[error(
        "entry {entry}: app {sdk_app_id} has no token; add one ({sdk_app_id}:token), or set \
         BRIDGE_ALLOW_UNSIGNED=true to take its webhooks unsigned"
    )]
    Unsigned {
        /// The entry's number.
        entry: usize,
        /// The app.
        sdk_app_id: u64,
    },
    /// The text has no entry.
    #[error("no app is listed; write at least one sdkappid:token")]
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_commas_lines_blanks_and_rotations() {
        let apps = Apps::parse(" 1:a , 2:b|c\r\n\n3 : d:e ,, ", false).unwrap();
        assert_eq!(apps.ids().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(apps.get(2).unwrap().len(), 2);
        let with_colon: Token = "d:e".parse().unwrap();
        assert_eq!(apps.get(3).unwrap()[0].sign("1"), with_colon.sign("1"));
        assert!(apps.get(4).is_none());
    }

    #[test]
    fn takes_an_app_without_token_only_when_allowed() {
        assert_eq!(Apps::parse("7", true).unwrap().get(7).unwrap().len(), 0);
        let unsigned = AppsError::Unsigned { entry: 1, sdk_app_id: 7 };
        assert_eq!(Apps::parse("7", false).unwrap_err(), [unsigned]);
    }

    #[test]
    fn shows_the_length_of_each_token_and_finds_placeholders() {
        let apps = Apps::parse("1:abc|äöüß,2", true).unwrap();
        assert_eq!(apps.token_lengths().collect::<Vec<_>>(), [(1, vec![3, 4]), (2, vec![])]);
        assert!(!apps.has_placeholder());
        assert!(Apps::parse("1:abc|<Change-Me>", false).unwrap().has_placeholder());
    }

    #[test]
    fn finds_every_fault_and_shows_no_token() {
        let text = "secret0,+1:secret1,2:secret2|,2:secret3,2:secret4,3:,\
                    4,18446744073709551616:secret5,:secret6";
        let faults = Apps::parse(text, false).unwrap_err();
        let sdk_app_id = 2;
        let expected = [
            AppsError::BadId { entry: 1 },
            AppsError::BadId { entry: 2 },
            AppsError::EmptyToken { entry: 3, sdk_app_id },
            AppsError::Repeated { entry: 4, sdk_app_id },
            AppsError::Repeated { entry: 5, sdk_app_id },
            AppsError::EmptyToken { entry: 6, sdk_app_id: 3 },
            AppsError::Unsigned { entry: 7, sdk_app_id: 4 },
            AppsError::BadId { entry: 8 },
            AppsError::BadId { entry: 9 },
        ];
        assert_eq!(faults, expected);
        for fault in faults {
            assert!(!format!("{fault} {fault:?}").contains("secret"));
        }
    }

    #[test]
    fn entries_separated_by_whitespace_are_not_one_token() {
        for text in ["1:a 2:b", "1:a\t2:b", "1:a|b c", "1:\u{a0}a\u{3000}b"] {
            let expected = [AppsError::Whitespace { entry: 1, sdk_app_id: 1 }];
            assert_eq!(Apps::parse(text, false).unwrap_err(), expected, "{text}");
        }
        assert_eq!(Apps::parse("1: a | b ,2:c", false).unwrap().redacted(), "1:***|***,2:***");
        assert_eq!(Apps::parse("1", true).unwrap().redacted(), "1");
    }

    #[test]
    fn nothing_listed_is_a_fault() {
        assert_eq!(Apps::parse(" ,\n", true).unwrap_err(), [AppsError::None]);
    }

    #[test]
    fn debug_hides_the_token() {
        let apps = Apps::parse("1:secret", false).unwrap();
        assert_eq!(format!("{apps:?}"), "Apps({1: [Token(***)]})");
    }

    #[test]
    fn signs_as_the_vendor_does() {
        let token: Token = "xxxxyyyy".parse().unwrap();
        assert_eq!(token.sign("1669872112"), "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061");
    }
}

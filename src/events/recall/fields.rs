//! Reads the fields of a recall's body. The reader is written by hand, because a derived one accepts an array as an
//! object, and refuses a recall for unused content, such as a field name that is not text. Only the fields that identify
//! the recall must be valid.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::limits::MSG_KEYS_MAX;
use crate::events::loose::Loose;

/// The fields of a body, each at most once.
pub(super) struct BodyFields<'b> {
    pub(super) command: Option<Cow<'b, str>>,
    pub(super) official_account: Option<Cow<'b, str>>,
    /// Every `MsgKey`. If their number exceeds the limit, the first [`MSG_KEYS_MAX`] + 1.
    pub(super) list: Option<Vec<Cow<'b, str>>>,
    /// `None` if the body has it twice: no rule prefers one of them.
    pub(super) event_time_ms: Option<i64>,
}

/// Reads a body. An `EventTime` that serde cannot represent (`1e999`, a lone surrogate, bytes that are not UTF-8) counts
/// as missing. Allocates less than 64 KiB, and the texts that have escapes.
///
/// # Errors
/// Not JSON, or another field has a wrong type or occurs twice.
pub(super) fn read(body: &[u8]) -> serde_json::Result<BodyFields<'_>> {
    let all = serde_json::from_slice::<RawBody<'_, Loose<'_>>>(body).map(|raw| raw.fields(Loose::time_ms));
    all.or_else(|error| {
        // The first error is reported, because the second reading checks less.
        let rest: RawBody<'_, IgnoredAny> = serde_json::from_slice(body).map_err(|_| error)?;
        Ok(rest.fields(|_| None))
    })
}

/// Returns the account of a body that is an object. Other content is ignored.
pub(super) fn account(body: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice::<Account<'_>>(body).ok()?.0
}

/// A field that may occur once.
enum Field<T> {
    Missing,
    /// `None` for `null`.
    Given(Option<T>),
}

impl<T> Field<T> {
    fn value(self) -> Option<T> {
        match self {
            Self::Given(value) => value,
            Self::Missing => None,
        }
    }
}

/// The fields before the checks. `T` is the type of `EventTime`.
struct RawBody<'b, T> {
    command: Field<Text<'b>>,
    official_account: Field<Text<'b>>,
    list: Field<Keys<'b>>,
    event_time: Option<T>,
    event_times: usize,
}

impl<'b, T> RawBody<'b, T> {
    fn fields(self, ms: impl FnOnce(T) -> Option<i64>) -> BodyFields<'b> {
        let text = |field: Field<Text<'b>>| field.value().map(|Text(text)| text);
        BodyFields {
            command: text(self.command),
            official_account: text(self.official_account),
            list: self.list.value().map(|Keys(keys)| keys),
            event_time_ms: self.event_time.filter(|_| self.event_times == 1).and_then(ms),
        }
    }
}

impl<'b, T: Deserialize<'b>> Deserialize<'b> for RawBody<'b, T> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(RawVisitor(PhantomData))
    }
}

struct RawVisitor<T>(PhantomData<T>);

impl<'b, T: Deserialize<'b>> Visitor<'b> for RawVisitor<T> {
    type Value = RawBody<'b, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut raw = RawBody {
            command: Field::Missing,
            official_account: Field::Missing,
            list: Field::Missing,
            event_time: None,
            event_times: 0,
        };
        while let Some(name) = map.next_key::<FieldName>()? {
            match name {
                FieldName::CallbackCommand => once(&mut map, &mut raw.command, "CallbackCommand")?,
                FieldName::OfficialAccount => once(&mut map, &mut raw.official_account, "Official_Account")?,
                FieldName::WithdrawMsgList => once(&mut map, &mut raw.list, "WithdrawMsgList")?,
                FieldName::EventTime => {
                    raw.event_time = Some(map.next_value()?);
                    raw.event_times += 1;
                }
                FieldName::MsgKey | FieldName::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(raw)
    }
}

/// The elements of `WithdrawMsgList`.
struct Keys<'b>(Vec<Cow<'b, str>>);

impl<'b> Deserialize<'b> for Keys<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'b> Visitor<'b> for KeysVisitor {
            type Value = Keys<'b>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of objects with a MsgKey")
            }

            fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<Keys<'b>, A::Error> {
                let mut keys = Vec::new();
                while keys.len() <= MSG_KEYS_MAX {
                    let Some(Item(msg_key)) = items.next_element()? else { return Ok(Keys(keys)) };
                    keys.push(msg_key);
                }
                // Too many: the remaining elements need only be JSON.
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_seq(KeysVisitor)
    }
}

/// Reads only the account. An account of another type counts as missing.
struct Account<'b>(Option<Cow<'b, str>>);

impl<'b> Deserialize<'b> for Account<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct AccountVisitor;
        impl<'b> Visitor<'b> for AccountVisitor {
            type Value = Account<'b>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Account<'b>, A::Error> {
                let mut account = None;
                while let Some(name) = map.next_key::<FieldName>()? {
                    if matches!(name, FieldName::OfficialAccount) {
                        account = map.next_value::<Loose<'b>>()?.text();
                    } else {
                        map.next_value::<IgnoredAny>()?;
                    }
                }
                Ok(Account(account))
            }
        }
        deserializer.deserialize_map(AccountVisitor)
    }
}

/// An element of `WithdrawMsgList`: an object with a `MsgKey`.
struct Item<'b>(Cow<'b, str>);

impl<'b> Deserialize<'b> for Item<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'b> Visitor<'b> for ItemVisitor {
    type Value = Item<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a MsgKey")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut msg_key: Field<Text<'b>> = Field::Missing;
        while let Some(name) = map.next_key::<FieldName>()? {
            if matches!(name, FieldName::MsgKey) {
                once(&mut map, &mut msg_key, "MsgKey")?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        msg_key.value().map(|Text(text)| Item(text)).ok_or_else(|| de::Error::missing_field("MsgKey"))
    }
}

fn once<'b, T: Deserialize<'b>, A: MapAccess<'b>>(
    map: &mut A,
    field: &mut Field<T>,
    name: &'static str,
) -> Result<(), A::Error> {
    if matches!(field, Field::Given(_)) {
        return Err(de::Error::duplicate_field(name));
    }
    *field = Field::Given(map.next_value()?);
    Ok(())
}

/// A field's name, compared as bytes. A name that is not UTF-8 is an unknown field.
enum FieldName {
    CallbackCommand,
    OfficialAccount,
    WithdrawMsgList,
    EventTime,
    MsgKey,
    Other,
}

impl<'b> Deserialize<'b> for FieldName {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = FieldName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<FieldName, E> {
                Ok(match name {
                    b"CallbackCommand" => FieldName::CallbackCommand,
                    b"Official_Account" => FieldName::OfficialAccount,
                    b"WithdrawMsgList" => FieldName::WithdrawMsgList,
                    b"EventTime" => FieldName::EventTime,
                    b"MsgKey" => FieldName::MsgKey,
                    _ => FieldName::Other,
                })
            }
        }
        deserializer.deserialize_bytes(NameVisitor)
    }
}

/// Text, borrowed from the body unless it has escapes.
struct Text<'b>(Cow<'b, str>);

impl<'b> Deserialize<'b> for Text<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'b> Visitor<'b> for TextVisitor {
            type Value = Text<'b>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'b str) -> Result<Text<'b>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'b>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

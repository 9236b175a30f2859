//! The fields of a recall's body, read by hand rather than derived: a derived reader takes an array
//! for an object, and refuses a recall for what nobody asked for, such as a field whose name is no
//! text. Only what names the recall has to be right.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, DeserializeOwned, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// What a body says, each field at most once. `T` is what `EventTime` is read as.
pub(super) struct Fields<'b, T = Value> {
    pub(super) command: Option<Cow<'b, str>>,
    pub(super) official_account: Option<Cow<'b, str>>,
    /// Every `MsgKey`.
    pub(super) list: Option<Vec<Cow<'b, str>>>,
    /// None if given twice: neither is better than the other.
    pub(super) event_time: Option<T>,
}

/// Reads a body. An `EventTime` that is no value of the data model (`1e999`, a lone surrogate, bytes
/// that are not UTF-8) is as if missing.
///
/// # Errors
/// Not JSON, or one of the other fields is of another type or given twice.
pub(super) fn read(body: &[u8]) -> serde_json::Result<Fields<'_>> {
    serde_json::from_slice(body).or_else(|error| {
        // The first error says more: the second reading looks at less.
        let rest: Fields<'_, IgnoredAny> = serde_json::from_slice(body).map_err(|_| error)?;
        Ok(Fields { command: rest.command, official_account: rest.official_account, list: rest.list, event_time: None })
    })
}

impl<'b, T: DeserializeOwned> Deserialize<'b> for Fields<'b, T> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor(PhantomData))
    }
}

struct FieldsVisitor<T>(PhantomData<T>);

impl<'b, T: DeserializeOwned> Visitor<'b> for FieldsVisitor<T> {
    type Value = Fields<'b, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut command, mut account, mut list) = (None, None, None);
        let mut event_times = Vec::new();
        while let Some(name) = map.next_key::<Name>()? {
            match name {
                Name::CallbackCommand => once(&mut map, &mut command, "CallbackCommand")?,
                Name::OfficialAccount => once(&mut map, &mut account, "Official_Account")?,
                Name::WithdrawMsgList => once(&mut map, &mut list, "WithdrawMsgList")?,
                Name::EventTime => event_times.push(map.next_value::<T>()?),
                Name::MsgKey | Name::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let text = |field: Option<Option<Text<'b>>>| field.flatten().map(|Text(text)| text);
        let event_time = if event_times.len() == 1 { event_times.pop() } else { None };
        Ok(Fields {
            command: text(command),
            official_account: text(account),
            list: list.flatten().map(|items: Vec<Item<'b>>| items.into_iter().map(|Item(msg_key)| msg_key).collect()),
            event_time,
        })
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
        let mut msg_key: Option<Text<'b>> = None;
        while let Some(name) = map.next_key::<Name>()? {
            if matches!(name, Name::MsgKey) {
                once(&mut map, &mut msg_key, "MsgKey")?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        msg_key.map(|Text(text)| Item(text)).ok_or_else(|| de::Error::missing_field("MsgKey"))
    }
}

fn once<'b, T: Deserialize<'b>, A: MapAccess<'b>>(
    map: &mut A,
    field: &mut Option<T>,
    name: &'static str,
) -> Result<(), A::Error> {
    if field.is_some() {
        return Err(de::Error::duplicate_field(name));
    }
    *field = Some(map.next_value()?);
    Ok(())
}

/// A field's name, compared as bytes: one that is no text is simply another.
enum Name {
    CallbackCommand,
    OfficialAccount,
    WithdrawMsgList,
    EventTime,
    MsgKey,
    Other,
}

impl<'b> Deserialize<'b> for Name {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;
        impl Visitor<'_> for NameVisitor {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field's name")
            }

            fn visit_bytes<E: de::Error>(self, name: &[u8]) -> Result<Name, E> {
                Ok(match name {
                    b"CallbackCommand" => Name::CallbackCommand,
                    b"Official_Account" => Name::OfficialAccount,
                    b"WithdrawMsgList" => Name::WithdrawMsgList,
                    b"EventTime" => Name::EventTime,
                    b"MsgKey" => Name::MsgKey,
                    _ => Name::Other,
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

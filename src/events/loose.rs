//! A JSON value of any type, for optional fields: a value of a wrong type counts as missing.

use std::borrow::Cow;
use std::fmt;

use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// UNIX milliseconds of the years 1970 to 9999: RFC 3339 has years of four digits.
const TIMES_MS: std::ops::RangeInclusive<i64> = 0..=253_402_300_799_999;

/// Any JSON value. Values other than text and numbers take no memory.
pub(in crate::events) enum Loose<'b> {
    Integer(i64),
    Float(f64),
    Text(Cow<'b, str>),
    Other,
}

impl<'b> Loose<'b> {
    pub(in crate::events) fn text(self) -> Option<Cow<'b, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Float(_) | Self::Other => None,
        }
    }

    /// `EventTime`, in UNIX milliseconds: documented as an integer, also sent as a string of digits.
    pub(in crate::events) fn time_ms(self) -> Option<i64> {
        let ms = match self {
            Self::Integer(ms) => ms,
            Self::Float(number) => whole(number)?,
            Self::Text(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok()?,
            Self::Text(_) | Self::Other => return None,
        };
        TIMES_MS.contains(&ms).then_some(ms)
    }
}

fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "within the range checked just before")]
    (number.fract() == 0.0 && number.abs() < 9.0e15).then_some(number as i64)
}

impl<'b> Deserialize<'b> for Loose<'b> {
    fn deserialize<D: Deserializer<'b>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LooseVisitor)
    }
}

struct LooseVisitor;

impl<'b> Visitor<'b> for LooseVisitor {
    type Value = Loose<'b>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Loose<'b>, E> {
        Ok(Loose::Integer(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Loose<'b>, E> {
        Ok(i64::try_from(number).map_or(Loose::Other, Loose::Integer))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Loose<'b>, E> {
        Ok(Loose::Float(number))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'b str) -> Result<Loose<'b>, E> {
        Ok(Loose::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Loose<'b>, E> {
        Ok(Loose::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Loose<'b>, E> {
        Ok(Loose::Other)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Loose<'b>, E> {
        Ok(Loose::Other)
    }

    fn visit_seq<A: SeqAccess<'b>>(self, mut items: A) -> Result<Loose<'b>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }

    fn visit_map<A: MapAccess<'b>>(self, mut map: A) -> Result<Loose<'b>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Loose::Other)
    }
}

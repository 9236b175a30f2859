//! A body that is kept for a replay: text in JSON if it is text, else Base64.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptBody(Box<[u8]>);

/// Its form in JSON.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BodyForm<'b> {
    Text(std::borrow::Cow<'b, str>),
    Base64(String),
}

impl KeptBody {
    /// Copies a body.
    pub fn new(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for KeptBody {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = match std::str::from_utf8(&self.0) {
            Ok(text) => BodyForm::Text(text.into()),
            Err(_) => BodyForm::Base64(STANDARD.encode(&self.0)),
        };
        form.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for KeptBody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = match BodyForm::deserialize(deserializer)? {
            BodyForm::Text(text) => text.into_owned().into_bytes(),
            BodyForm::Base64(text) => STANDARD.decode(text).map_err(de::Error::custom)?,
        };
        Ok(Self(bytes.into()))
    }
}

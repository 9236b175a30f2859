//! Values that may be used but never shown, and the files they are read from.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::errors::{ConfigError, ConfigErrors};

/// What stands in for a secret wherever a value is shown.
pub(super) const HIDDEN: &str = "***";

/// A secret's file is a few lines; the bound keeps a wrong path (`/dev/zero`) from eating memory.
const MAX_SECRET_FILE_BYTES: u64 = 1024 * 1024;

/// A text that its `Debug` and `Display` never print, and that is overwritten when it is dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The text itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

/// Reads a secret from a file: UTF-8, at most 1 MiB, one trailing line end stripped.
///
/// `name` is the variable that named the file; it is what the error is about.
///
/// # Errors
/// One error when the file cannot be read, is empty, too large or not UTF-8.
pub fn read_secret_file(name: &str, path: &Path) -> Result<Secret, ConfigError> {
    let refused = |why: &str, fix: &str| ConfigError::new(name, format!("{} {why}", path.display()), fix);
    let unreadable =
        |error: std::io::Error| refused(&format!("cannot be read: {error}"), "name a file that this process may read");

    // Of the size that it will have: a buffer that grows leaves copies behind.
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len().min(MAX_SECRET_FILE_BYTES));
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_SECRET_FILE_BYTES) {
        return Err(refused("is larger than 1 MiB", "name the secret's own file"));
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes));
    let mut text = text.map_err(|_| refused("is not UTF-8", "write the file as UTF-8 text")).map(Zeroizing::new)?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(refused("is empty", "write the value into the file"));
    }
    Ok(Secret(text))
}

/// The value of `name`, from itself or from the file that `file_name` names.
///
/// Both set is an error: which of the two was meant cannot be known.
pub(super) fn direct_or_file(
    (name, value): (&str, Option<&str>),
    (file_name, path): (&str, Option<&str>),
    errors: &mut ConfigErrors,
) -> Option<Secret> {
    match (value, path) {
        (Some(_), Some(_)) => {
            errors.push(ConfigError::new(name, format!("is set together with {file_name}"), "keep one of the two"));
            None
        }
        (Some(value), None) => Some(Secret::new(value)),
        (None, Some(path)) => read_secret_file(file_name, Path::new(path)).map_err(|error| errors.push(error)).ok(),
        (None, None) => None,
    }
}

//! Secret values, and the files that contain them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use super::errors::{ConfigError, ConfigErrors};

/// Replaces a secret in all output.
pub(super) const HIDDEN: &str = "***";

/// The maximum size of a secret's file. The limit protects the memory from a wrong path (`/dev/zero`).
const MAX_SECRET_FILE_BYTES: u64 = 1024 * 1024;

/// A secret text. `Debug` and `Display` do not print it, and dropping overwrites it.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Returns the text.
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

/// Reads a secret from a file: UTF-8, at most 1 MiB inclusive. One line end at the end is removed.
///
/// `name` is the variable with the path; the error names it.
///
/// # Errors
/// The file cannot be read, is empty, too large or not UTF-8.
pub fn read_secret_file(name: &str, path: &Path) -> Result<Secret, ConfigError> {
    let refused = |why: &str, fix: &str| ConfigError::new(name, format!("{} {why}", path.display()), fix);
    let unreadable =
        |error: std::io::Error| refused(&format!("cannot be read: {error}"), "name a file that this process can read");

    // Allocates the final size: a growing buffer would leave copies of the secret in memory.
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len().min(MAX_SECRET_FILE_BYTES));
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 64));
    File::open(path)
        .and_then(|file| file.take(MAX_SECRET_FILE_BYTES + 1).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_SECRET_FILE_BYTES) {
        return Err(refused("is larger than 1 MiB", "name a file that contains only the secret"));
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

/// Returns the value of `name`, or the content of the file in `file_name`. Setting both is an error.
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

//! The errors of a configuration, collected and reported at once.

use std::fmt;

/// An error of a configuration: the variable, the problem, the fix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    name: String,
    problem: String,
    fix: String,
}

impl ConfigError {
    /// An error of the variable `name`. No text may contain a secret.
    pub fn new(name: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into(), fix: fix.into() }
    }

    /// An error for a name or a value that is not text.
    pub(super) fn not_utf8(name: &str) -> Self {
        Self::new(name, "is not UTF-8", "write name and value as UTF-8 text")
    }

    /// The variable.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The problem.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// The fix.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.problem, self.fix)
    }
}

/// All errors of a configuration, in the order of the table in docs/configuration.md. `Display` writes one line for each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Adds an error.
    pub fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// Iterates over the errors.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// The number of errors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no errors.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an error concerns the variable `name`.
    pub fn concern(&self, name: &str) -> bool {
        self.0.iter().any(|error| error.name == name)
    }
}

impl Extend<ConfigError> for ConfigErrors {
    fn extend<I: IntoIterator<Item = ConfigError>>(&mut self, errors: I) {
        self.0.extend(errors);
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, error) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

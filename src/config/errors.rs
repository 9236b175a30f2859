//! What is wrong with a configuration: all of it at once.

use std::fmt;

/// One thing that is wrong: the variable, the problem, the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    name: String,
    problem: String,
    fix: String,
}

impl ConfigError {
    /// A error of the variable `name`. Neither text may hold a secret.
    pub fn new(name: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), problem: problem.into(), fix: fix.into() }
    }

    /// A name or a value that is no text.
    pub(super) fn not_utf8(name: &str) -> Self {
        Self::new(name, "is not UTF-8", "write its name and its value as UTF-8 text")
    }

    /// The variable it is about.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What is wrong.
    pub fn problem(&self) -> &str {
        &self.problem
    }

    /// What to do about it.
    pub fn fix(&self) -> &str {
        &self.fix
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.problem, self.fix)
    }
}

/// Every error of one load, in the order of the documentation's table. One line each when shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl ConfigErrors {
    /// Adds one.
    pub fn push(&mut self, error: ConfigError) {
        self.0.push(error);
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.0.iter()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of them is about the variable `name`.
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

//! What is wrong with a configuration: all of it at once.

use std::fmt;

/// One thing that is wrong: the variable, the problem, the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    name: String,
    problem: String,
    fix: String,
}

impl Fault {
    /// A fault of the variable `name`. Neither text may hold a secret.
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

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.name, self.problem, self.fix)
    }
}

/// Every fault of one load, in the order of the documentation's table. One line each when shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds one.
    pub fn push(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
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
        self.0.iter().any(|fault| fault.name == name)
    }
}

impl Extend<Fault> for Faults {
    fn extend<I: IntoIterator<Item = Fault>>(&mut self, faults: I) {
        self.0.extend(faults);
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{fault}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

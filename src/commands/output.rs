//! All that commands print. No other place writes to stdout or stderr, and nothing here panics:
//! a reader that has seen enough (`| head`) ends the output, a disk that is full is an error, and
//! descriptors that are closed take everything.
//!
//! Whatever is printed goes through [`crate::escape`]: values on a line of their own by
//! [`escape::plain`], and each line once more without regard to what it was made of.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use anyhow::anyhow;
use serde::Serialize;

use super::CommandError;
use crate::{escape, telemetry};

/// Writes a line to stderr: what is no result. A failure is ignored: there is no other place to report it.
pub fn note(line: impl Display) {
    let line = format!("{}\n", escape::plain_lines(&line.to_string()));
    if !telemetry::raw(&line) {
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Lines for stdout.
pub struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    fault: Option<io::Error>,
    /// Whether each line is to be seen at once.
    is_live: bool,
}

impl Output {
    /// For a result that comes as fast as it can be written.
    pub fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), fault: None, is_live: false }
    }

    /// For lines that come one after the other, each seen at once.
    pub fn live() -> Self {
        Self { is_live: true, ..Self::new() }
    }

    /// Writes a line; `false`: further lines would be lost.
    pub fn line(&mut self, line: impl Display) -> bool {
        self.put(&escape::plain_lines(&line.to_string()))
    }

    /// Writes JSON as a line.
    pub fn json(&mut self, value: &impl Serialize) -> bool {
        match escape::json(value) {
            Ok(text) => self.put(&text),
            Err(error) => {
                self.fault.get_or_insert(error.into());
                false
            }
        }
    }

    /// Writes text of ours as it is, with the colours of a terminal in it.
    pub fn styled(&mut self, text: &str) -> bool {
        self.put(text)
    }

    fn put(&mut self, line: &str) -> bool {
        if self.fault.is_none() {
            let written = writeln!(self.stdout, "{line}");
            let written = if self.is_live { written.and_then(|()| self.stdout.flush()) } else { written };
            self.fault = written.err();
        }
        self.fault.is_none()
    }

    /// Whether the reader of stdout has gone.
    pub fn is_closed(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Hands over what is still here. A reader that has gone is no error.
    ///
    /// # Errors
    /// Something of the result could not be written.
    pub fn finish(mut self) -> Result<(), CommandError> {
        let fault = self.fault.take().or_else(|| self.stdout.flush().err());
        // What is left in the buffer is not tried again when it is dropped.
        drop(self.stdout.into_parts());
        match fault {
            Some(fault) if fault.kind() != io::ErrorKind::BrokenPipe => {
                Err(CommandError::Outside(anyhow!(fault).context("the result could not be written to stdout")))
            }
            _ => Ok(()),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

//! The output of the commands. No other module writes to stdout or stderr. This module does not panic: a closed pipe
//! (`| head`) ends the output, a full disk is an error, and a closed descriptor is ignored.
//!
//! All output is escaped by [`crate::escape`]: single values by [`escape::plain`], and each complete line again.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use anyhow::anyhow;
use serde::Serialize;

use super::CommandError;
use crate::{escape, telemetry};

/// Writes a line to stderr. Results go to stdout instead. An error is ignored: no other place can report it.
pub fn note(line: impl Display) {
    let line = format!("{}\n", escape::plain_lines(&line.to_string()));
    if !telemetry::raw(&line) {
        let _ = io::stderr().write_all(line.as_bytes());
    }
}

/// Writes lines to stdout.
pub struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    fault: Option<io::Error>,
    /// Whether each line is flushed.
    is_live: bool,
}

impl Output {
    /// Output that is flushed at the end.
    pub fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), fault: None, is_live: false }
    }

    /// Output that is flushed after each line.
    pub fn live() -> Self {
        Self { is_live: true, ..Self::new() }
    }

    /// Writes a line. Returns `false` if further lines would be lost.
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

    /// Writes trusted text without escaping, with terminal colours.
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

    /// Whether the reader of stdout has closed the pipe.
    pub fn is_closed(&self) -> bool {
        self.fault.as_ref().is_some_and(|fault| fault.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Flushes the output. A closed pipe is not an error.
    ///
    /// # Errors
    /// A part of the result could not be written.
    pub fn finish(mut self) -> Result<(), CommandError> {
        let fault = self.fault.take().or_else(|| self.stdout.flush().err());
        // Discards the buffer, so that dropping it does not write again.
        drop(self.stdout.into_parts());
        match fault {
            Some(fault) if fault.kind() != io::ErrorKind::BrokenPipe => Err(CommandError::Outside(
                anyhow!(fault).context("the result could not be written to stdout; check the disk or the receiver"),
            )),
            _ => Ok(()),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new()
    }
}

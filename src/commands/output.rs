//! Results on stdout, as many as there are.

use std::fmt::Display;
use std::io::{self, BufWriter, StdoutLock, Write as _};

use anyhow::anyhow;

use super::CommandError;

/// Lines for stdout. A reader that has seen enough (`| head`) is no fault; a disk that is full is.
pub(super) struct Output {
    stdout: BufWriter<StdoutLock<'static>>,
    fault: Option<io::Error>,
}

impl Output {
    pub(super) fn new() -> Self {
        Self { stdout: BufWriter::new(io::stdout().lock()), fault: None }
    }

    /// Writes a line; `false`: nobody gets what is written from now on.
    pub(super) fn line(&mut self, line: impl Display) -> bool {
        if self.fault.is_none() {
            self.fault = writeln!(self.stdout, "{line}").err();
        }
        self.fault.is_none()
    }

    /// Hands over what is still here.
    ///
    /// # Errors
    /// Something of the result could not be written.
    pub(super) fn finish(mut self) -> Result<(), CommandError> {
        let fault = self.fault.take().or_else(|| self.stdout.flush().err());
        match fault {
            None => Ok(()),
            Some(fault) => {
                // What is left in the buffer is not tried again when it is dropped.
                drop(self.stdout.into_parts());
                if fault.kind() == io::ErrorKind::BrokenPipe {
                    return Ok(());
                }
                Err(CommandError::Outside(anyhow!(fault).context("the result could not be written")))
            }
        }
    }
}

//! One transaction of the writer: runs it, and applies its result to memory.

use std::sync::Arc;

use rusqlite::{ErrorCode, Transaction, TransactionBehavior};

use super::Writer;
use super::effect::Effect;
use super::error::{CommitError, Failure};

/// Pages that a commit writes in addition to its payload, estimated.
const COMMIT_OVERHEAD_PAGES: u64 = 2;

impl Writer {
    /// Runs one transaction. After an error, the file is opened again before the result is reported.
    pub(super) fn transact(
        &mut self,
        change: impl FnOnce(&Self, &Transaction<'_>) -> rusqlite::Result<Effect>,
    ) -> Result<(), CommitError> {
        self.attempt(change)
            .map_err(|failure| if failure.distrusted { self.recover(failure.error) } else { failure.error })
    }

    /// Opens the file again after a failed transaction. Returns its error, which becomes fatal if that is impossible.
    pub(super) fn recover(&mut self, error: CommitError) -> CommitError {
        self.connect().map_or_else(|fatal| fatal, |()| error)
    }

    /// Opens the file if it is not open. It may stay closed, until the next attempt.
    fn connect(&mut self) -> Result<(), CommitError> {
        if self.connection.is_none() {
            self.connection = self.reopen().map_err(|error| {
                self.fatal = Some(error);
                CommitError::Fatal
            })?;
        }
        Ok(())
    }

    /// Runs one transaction. If it fails, its changes may remain in the WAL until the file is opened again.
    pub(super) fn attempt(
        &mut self,
        change: impl FnOnce(&Self, &Transaction<'_>) -> rusqlite::Result<Effect>,
    ) -> Result<(), Failure> {
        let kept = |error| Failure { error, distrusted: false };
        if self.checkpoints.is_full() {
            return Err(kept(CommitError::Retry(self.fail(self.checkpoints.full_reason()))));
        }
        self.connect().map_err(kept)?;
        let Some(mut connection) = self.connection.take() else {
            let reason = self.shared.state().fault.clone().unwrap_or_else(|| "the spool cannot be opened".into());
            return Err(kept(CommitError::Retry(reason)));
        };
        let result = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|tx| {
            let effect = change(self, &tx)?;
            tx.commit()?;
            Ok(effect)
        });
        match result {
            Ok(effect) => {
                self.connection = Some(connection);
                self.apply(&effect);
                Ok(())
            }
            Err(error) => {
                let reason = self.fail(error.to_string());
                // A full disk or a busy lock fails before any relevant write. After any other error the connection's
                // view of the disk cannot be trusted.
                let full = matches!(error.sqlite_error_code(), Some(ErrorCode::DiskFull));
                if full {
                    // The WAL may fill it.
                    self.checkpoints.hurry();
                }
                let harmless = full || matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy));
                self.connection = harmless.then_some(connection);
                Err(Failure { error: CommitError::Retry(reason), distrusted: !harmless })
            }
        }
    }

    /// Records why the spool cannot be written, and logs it the first time.
    fn fail(&self, reason: String) -> Arc<str> {
        let reason: Arc<str> = reason.into();
        if self.shared.state().fault.replace(Arc::clone(&reason)).is_none() {
            tracing::error!(event = "spool_write_failed", error = %reason, "cannot write to the spool; retrying every second");
        }
        reason
    }

    fn apply(&mut self, effect: &Effect) {
        self.checkpoints.wrote_again(COMMIT_OVERHEAD_PAGES * self.page_bytes);
        if let Some(published_end) = effect.published_end {
            self.stored_watermark = published_end;
        }
        if let Some(released) = effect.bytes_released {
            self.shared.capacity.release(released.saturating_sub(self.bytes_released));
            self.bytes_released = released;
        }
        self.removable = effect.removable;
        if effect.ids_saved {
            self.dedup.saved();
        }
        if let Some(through) = effect.forgotten {
            self.dedup.removed(through);
        }
        let mut state = self.shared.state();
        state.dedup = self.dedup.usage();
        if let Some(published_end) = effect.published_end {
            let superseded = state.identities.iter().skip(1).take_while(|next| next.first_seq <= published_end).count();
            state.identities.drain(..superseded);
        }
        if !self.gone && state.fault.take().is_some() {
            tracing::info!(event = "spool_recovered", "writing to the spool works again");
        }
    }
}

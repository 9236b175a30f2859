//! The writer's database file: checks that it still exists, opens it again after an error, copies its WAL.

use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::Writer;
use super::checkpoints::CheckpointStep;
use crate::spool::error::SpoolError;
use crate::spool::store::files::{database_file, file_id};
use crate::spool::store::open::open_writer;
use crate::spool::store::{self, rows, wal};

impl Writer {
    /// Whether the file was removed or replaced. Its content is lost when this process ends, so no further event may
    /// be acknowledged. The backlog is published before the process ends.
    pub(super) fn is_gone(&mut self) -> bool {
        if !self.gone && file_id(&self.shared.dir) != self.file_id {
            self.gone = true;
            let gone = self.gone_error();
            tracing::error!(event = "spool_file_gone", error = %gone, "webhooks are refused; the process exits when the backlog is published");
            self.shared.state().fault = Some(gone.to_string().into());
        }
        self.gone
    }

    pub(super) fn gone_error(&self) -> SpoolError {
        SpoolError::Gone { file: database_file(&self.shared.dir) }
    }

    /// Opens the file again after an error, and removes unacknowledged events. `None`: the file cannot be opened now;
    /// the next transaction tries again.
    pub(super) fn reopen(&mut self) -> Result<Option<Connection>, SpoolError> {
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let (mut connection, found) = match open_writer(&self.shared.dir) {
            Ok(opened) => opened,
            Err(corrupt @ SpoolError::Corrupt { .. }) if self.suspicion.confirm() => return Err(corrupt),
            Err(error) => {
                self.shared.state().fault = Some(error.to_string().into());
                return Ok(None);
            }
        };
        self.suspicion.clear();
        if let Err(error) = self.settle(&connection) {
            self.shared.state().fault = Some(error.to_string().into());
            return Ok(None);
        }
        if found.next_seq < self.next_seq {
            return Err(SpoolError::Corrupt {
                file: database_file(&self.shared.dir),
                reason: format!(
                    "events {} to {} were acknowledged and are missing on the disk",
                    found.next_seq,
                    self.next_seq - 1
                ),
            });
        }
        // A failed commit may still be complete in the WAL, and a crash would make it valid: its events are removed,
        // and its place in the WAL is overwritten.
        if let Err(error) = self.undo_unacknowledged(&mut connection) {
            self.shared.state().fault = Some(error.to_string().into());
            return Ok(None);
        }
        tracing::warn!(event = "spool_reopened", "spool opened again after a failed write");
        Ok(Some(connection))
    }

    /// Removes the ids with the events: otherwise the sender's next attempt would count as a duplicate, and the
    /// recall would be lost.
    fn undo_unacknowledged(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        rows::remove_from(&tx, self.next_seq)?;
        store::dedup::remove_from(&tx, self.next_seq)?;
        rows::touch(&tx)?;
        tx.commit()
    }

    /// When a checkpoint is due although no commit comes.
    pub(super) fn checkpoint_due(&self) -> Option<Instant> {
        let possible = self.connection.is_some() && !self.gone;
        self.checkpoints.due().filter(|_| possible)
    }

    /// Makes a checkpoint if one is due.
    pub(super) fn checkpoint(&mut self) {
        if let Some(result) = self.checkpoints.ended_beside() {
            self.checkpointed(CheckpointStep::Beside, result);
        }
        let (Some(connection), false) = (&self.connection, self.gone) else { return };
        match self.checkpoints.next() {
            None => {}
            Some(CheckpointStep::Beside) => self.checkpoints.begin_beside(&self.shared.dir),
            Some(step @ CheckpointStep::Here { waits }) => {
                let result = wal::checkpoint(connection, waits);
                self.checkpointed(step, result);
            }
        }
    }

    fn checkpointed(&mut self, step: CheckpointStep, result: rusqlite::Result<wal::Checkpoint>) {
        match result {
            Ok(found) => self.checkpoints.ended(step, &found),
            // The next commit finds the error (for example a full disk) again. Until then the WAL grows.
            Err(error) => {
                tracing::warn!(event = "checkpoint_failed", %error, "cannot copy the WAL into the database");
                self.checkpoints.failed();
                if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
                    self.connection = None;
                }
            }
        }
    }

    /// Closes the file at the end of the process.
    pub(super) fn close(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // SQLite copies the WAL into the database when the last connection closes.
        if self.checkpoints.is_left_behind() {
            let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            tracing::info!(
                event = "wal_left",
                is_kept = kept.is_ok(),
                "large WAL kept; the next start copies it into the database"
            );
        }
    }
}

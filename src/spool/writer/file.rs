//! The file below the writer: still there, opened anew after a failure, its log copied.

use std::time::Instant;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::Writer;
use super::checkpoints::Step;
use crate::spool::error::SpoolError;
use crate::spool::store::files::{database_file, file_id};
use crate::spool::store::open::open_writer;
use crate::spool::store::{self, rows, wal};

impl Writer {
    /// Whether the file was removed, or another one has its name: what is written to it is gone with
    /// this process, so nothing more may be acknowledged. What it holds is published before the end.
    pub(super) fn is_gone(&mut self) -> bool {
        if !self.gone && file_id(&self.shared.dir) != self.file_id {
            self.gone = true;
            let gone = self.gone_error();
            tracing::error!(error = %gone, "deliveries are refused; once all is published the process ends");
            self.shared.state().fault = Some(gone.to_string().into());
        }
        self.gone
    }

    pub(super) fn gone_error(&self) -> SpoolError {
        SpoolError::Gone { file: database_file(&self.shared.dir) }
    }

    /// Opens the file anew after a failure, and removes what was never acknowledged. `None`: not
    /// now, try again with the next transaction.
    pub(super) fn reopen(&mut self) -> Result<Option<Connection>, SpoolError> {
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let (mut connection, found) = match open_writer(&self.shared.dir) {
            Ok(opened) => opened,
            Err(corrupt @ SpoolError::Corrupt { .. }) => return Err(corrupt),
            Err(error) => {
                self.shared.state().fault = Some(error.to_string().into());
                return Ok(None);
            }
        };
        if let Err(error) = self.settle(&connection) {
            self.shared.state().fault = Some(error.to_string().into());
            return Ok(None);
        }
        if found.next_seq < self.next_seq {
            return Err(SpoolError::Corrupt {
                file: database_file(&self.shared.dir),
                reason: format!(
                    "events {} to {} were acknowledged and are gone from the disk",
                    found.next_seq,
                    self.next_seq - 1
                ),
            });
        }
        // What failed may be whole in the log all the same, and would count after a crash: it is removed,
        // and its place in the log overwritten.
        if let Err(error) = self.undo_unacknowledged(&mut connection) {
            self.shared.state().fault = Some(error.to_string().into());
            return Ok(None);
        }
        tracing::warn!("the spool was opened again after a failed write");
        Ok(Some(connection))
    }

    /// With the events goes the memory of them: else the sender's next attempt would be taken for a
    /// repeat, and lost.
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

    /// Copies the WAL into the database where that is due.
    pub(super) fn checkpoint(&mut self) {
        if let Some(result) = self.checkpoints.ended_beside() {
            self.checkpointed(Step::Beside, result);
        }
        let (Some(connection), false) = (&self.connection, self.gone) else { return };
        match self.checkpoints.next() {
            None => {}
            Some(Step::Beside) => self.checkpoints.begin_beside(&self.shared.dir),
            Some(step @ Step::Here { waits }) => {
                let result = wal::checkpoint(connection, waits);
                self.checkpointed(step, result);
            }
        }
    }

    fn checkpointed(&mut self, step: Step, result: rusqlite::Result<wal::Checkpoint>) {
        match result {
            Ok(found) => self.checkpoints.ended(step, &found),
            // A failure (a full disk) is found again by the next commit; the WAL just grows meanwhile.
            Err(error) => {
                tracing::warn!(event = "checkpoint_failed", %error, "the WAL could not be copied into the database");
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
        // The last connection copies the WAL into the database as it closes.
        if self.checkpoints.is_left_behind() {
            let kept = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            tracing::info!(event = "wal_left", is_kept = kept.is_ok(), "the next start copies the WAL of the spool");
        }
    }
}

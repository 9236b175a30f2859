//! The file below the writer: still there, opened anew after a failure, its log copied.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::super::{SpoolError, rows, schema, wal};
use super::{CHECKPOINT_BYTES, Writer};

impl Writer {
    /// Whether the file was removed, or another one has its name: what is written to it is gone with
    /// this process, so nothing more may be acknowledged. What it holds is published before the end.
    pub(super) fn is_gone(&mut self) -> bool {
        if !self.gone && schema::file_id(&self.shared.dir) != self.file_id {
            self.gone = true;
            let gone = self.gone_error();
            tracing::error!(error = %gone, "deliveries are refused; once all is published the process ends");
            self.shared.state().fault = Some(gone.to_string().into());
        }
        self.gone
    }

    pub(super) fn gone_error(&self) -> SpoolError {
        SpoolError::Gone { file: schema::database_file(&self.shared.dir) }
    }

    /// Opens the file anew after a failure, and removes what was never acknowledged. `None`: not
    /// now, try again with the next transaction.
    pub(super) fn reopen(&mut self) -> Result<Option<Connection>, SpoolError> {
        if self.is_gone() {
            return Err(self.gone_error());
        }
        let (mut connection, found) = match schema::open_writer(&self.shared.dir) {
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
                file: schema::database_file(&self.shared.dir),
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
        tx.execute("DELETE FROM event_group WHERE first_seq >= ?1", [self.next_seq])?;
        tx.execute("DELETE FROM recent WHERE first_seq >= ?1", [self.next_seq])?;
        rows::touch(&tx)?;
        tx.commit()
    }

    /// Copies the WAL into the database, in small steps. Once all of it is copied, the next commit writes from
    /// its start again, unless a reader is at work at that moment; so a WAL that has grown waits for readers.
    pub(super) fn checkpoint(&mut self) {
        if self.log_bytes < CHECKPOINT_BYTES {
            return;
        }
        let Some(connection) = &self.connection else { return };
        let restart = self.wal_bytes >= self.wal_restart_at;
        match wal::checkpoint(connection, restart.then_some(wal::RESTART_WAIT)) {
            Ok(checkpoint) => {
                // What a reader keeps from being copied is tried again with the next step, not at once.
                self.log_bytes = checkpoint.left_bytes.min(CHECKPOINT_BYTES / 2);
                self.wal_bytes = if checkpoint.is_restarted { 0 } else { checkpoint.wal_bytes };
                // Nor does each step wait for a reader that holds on: the next one that does comes 32 MiB later.
                if checkpoint.left_bytes == 0 {
                    self.wal_restart_at = wal::RESTART_BYTES;
                } else if restart {
                    self.wal_restart_at = self.wal_bytes + wal::RESTART_BYTES;
                }
            }
            // A failure (a full disk) is found again by the next commit; the WAL just grows meanwhile.
            Err(error) => {
                tracing::warn!(event = "checkpoint_failed", %error, "the WAL could not be copied into the database");
                self.log_bytes = 0;
                if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
                    self.connection = None;
                }
            }
        }
    }
}

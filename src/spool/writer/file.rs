//! The file below the writer: still there, opened anew after a failure, its log copied.

use rusqlite::{Connection, ErrorCode, TransactionBehavior};

use super::super::schema::{self, PAGE_BYTES};
use super::super::{SpoolError, rows};
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

    /// Copies the log into the database, so that the log starts anew.
    pub(super) fn checkpoint(&mut self) {
        if self.log_bytes < CHECKPOINT_BYTES {
            return;
        }
        let Some(connection) = &self.connection else { return };
        // A failure (a full disk) is found again by the next commit; the log just grows meanwhile.
        let result = connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| Ok((row.get::<_, i64>(1)?, row.get::<_, i64>(2)?)));
        match result {
            Ok((log, copied)) => {
                self.log_bytes = u64::try_from(log - copied).unwrap_or(0) * u64::from(PAGE_BYTES);
            }
            Err(error) => {
                tracing::warn!(%error, "the spool's log could not be copied into the database");
                self.log_bytes = 0;
                if error.sqlite_error_code() != Some(ErrorCode::DiskFull) {
                    self.connection = None;
                }
            }
        }
    }
}

//! `spool export`: writes each unpublished event as a JSON line.

use anyhow::anyhow;
use serde_json::{Map, Value};

use crate::commands::output::Output;
use crate::commands::{CommandError, Place};
use crate::events::stored;
use crate::quarantine::view::{self, put_bytes};
use crate::spool::{Hold, Identity, Reader, Seq, WaitingRow};

/// The number of corrupted rows that are named.
const ROWS_NAMED: usize = 20;

/// Arguments of `spool export`.
#[derive(Debug, clap::Args)]
pub(super) struct SpoolExport {
    #[command(flatten)]
    place: Place,
}

impl SpoolExport {
    /// Continues after a corrupted row, and reports it at the end (exit 70).
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let dir = self.place.config()?.dir;
        let _hold = Hold::take(&dir)?;
        let reader = Reader::open_beside(&dir)?;
        let mut output = Output::new();
        let (mut after, mut corrupted, mut open) = (None, Vec::new(), true);
        while open {
            let waiting = reader.waiting(after)?;
            let Some(last) = waiting.rows.last() else { break };
            after = Some(last.first_seq);
            for row in &waiting.rows {
                open = open && put(&mut output, row, &waiting.identities);
                if !row.is_sound {
                    corrupted.push(row.first_seq.to_string());
                }
            }
        }
        output.finish()?;
        if corrupted.is_empty() {
            return Ok(());
        }
        let (count, some) = (corrupted.len(), corrupted[..corrupted.len().min(ROWS_NAMED)].join(", "));
        let text = format!("{count} row(s) are corrupted and were exported unchanged; they start with event {some}");
        Err(CommandError::Damaged(anyhow!(text)))
    }
}

/// Writes the events of a row. Returns `false` if the reader closed the pipe.
fn put(output: &mut Output, row: &WaitingRow, identities: &[Identity]) -> bool {
    if row.is_sound {
        return row.events().all(|(seq, event)| output.json(&line(row, identities, seq, event)));
    }
    let mut fields = head(row, identities, row.first_seq);
    fields.insert("damaged".to_owned(), true.into());
    fields.insert("events".to_owned(), row.events.into());
    put_bytes(&mut fields, "payload", &row.payload);
    output.json(&fields)
}

fn head(row: &WaitingRow, identities: &[Identity], seq: Seq) -> Map<String, Value> {
    let name = Identity::name(identities, seq);
    let mut fields = Map::new();
    fields.insert("seq".to_owned(), seq.into());
    fields.insert("bridge_spool".to_owned(), name.map(|(uuid, _)| uuid.to_string()).into());
    fields.insert("bridge_seq".to_owned(), name.map(|(_, seq)| seq).into());
    fields.insert("accepted_at".to_owned(), view::time(row.accepted_at_ms).into());
    fields
}

fn line(row: &WaitingRow, identities: &[Identity], seq: Seq, event: &[u8]) -> Value {
    let mut fields = head(row, identities, seq);
    match stored::record(event, &mut Vec::new()) {
        Ok(record) => fields.extend(view::record(&record)),
        Err(_) => put_bytes(&mut fields, "event", event),
    }
    fields.into()
}

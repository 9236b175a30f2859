//! `list`, `show` and `export`: read the quarantine. The node may run or be stopped.

use anyhow::anyhow;
use serde_json::Value;

use super::Opened;
use super::select::{FilterArgs, each_match};
use crate::commands::output::{Output, note};
use crate::commands::{CommandError, Place};
use crate::escape::json_text;
use crate::quarantine::view::{plain, summary, time, whole};
use crate::quarantine::{Filter, account};
use crate::spool::{QuarantineId, StoredEntry};

/// The longest part of a detail that a list shows.
const DETAIL_MAX_CHARS: usize = 100;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct List {
    #[command(flatten)]
    filter: FilterArgs,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl List {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let open = Opened::at(&self.place)?;
        let mut output = Output::new();
        let mut lines = Lines::new(self.json);
        each_match(&open.reader, &self.filter.filter(), |entry| lines.put(&mut output, entry))?;
        if lines.count == 0 {
            note("no entries");
        }
        output.finish()
    }
}

/// Writes a list of entries, as a table or as JSON lines.
pub(super) struct Lines {
    json: bool,
    pub(super) count: u64,
}

impl Lines {
    pub(super) fn new(json: bool) -> Self {
        Self { json, count: 0 }
    }

    /// Writes an entry. Returns `false` if the reader closed the pipe.
    pub(super) fn put(&mut self, output: &mut Output, entry: &StoredEntry) -> bool {
        self.count += 1;
        if self.json {
            return output.json(&summary(entry));
        }
        if self.count == 1 {
            let head = ("id", "time", "reason", "bytes", "seq", "account");
            output.line(format_args!(
                "{:>6}  {:<24}  {:<23}  {:>7}  {:>7}  {:<24}  detail",
                head.0, head.1, head.2, head.3, head.4, head.5
            ));
        }
        let detail = plain(&entry.detail);
        let detail: String = match detail.char_indices().nth(DETAIL_MAX_CHARS) {
            Some((cut, _)) => format!("{}…", &detail[..cut]),
            None => detail,
        };
        output.line(format_args!(
            "{:>6}  {:<24}  {:<23}  {:>7}  {:>7}  {:<24}  {detail}",
            entry.id,
            time(entry.at_ms),
            plain(entry.reason.label()),
            entry.body.len(),
            entry.name.map_or_else(|| "-".to_owned(), |(_, seq)| seq.to_string()),
            account(entry).map_or_else(|| "-".to_owned(), |account| plain(&account)),
        ))
    }
}

/// Arguments of `show`.
#[derive(Debug, clap::Args)]
pub(super) struct Show {
    /// Ids of the entries.
    #[arg(required = true, value_name = "ID")]
    ids: Vec<QuarantineId>,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl Show {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let open = Opened::at(&self.place)?;
        let mut output = Output::new();
        let mut missing = Vec::new();
        for (nth, &id) in self.ids.iter().enumerate() {
            let Some(entry) = open.reader.quarantine_entry(id)? else {
                missing.push(id.to_string());
                continue;
            };
            if self.json {
                output.json(&whole(&entry));
                continue;
            }
            if nth > 0 {
                output.line("");
            }
            print(&mut output, &entry);
        }
        output.finish()?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(CommandError::Negative(anyhow!("not in quarantine: {}", missing.join(", "))))
    }
}

/// Prints a complete entry.
fn print(output: &mut Output, entry: &StoredEntry) {
    let fields = whole(entry);
    let names = ["id", "at", "reason", "detail", "account", "bridge_spool", "bridge_seq", "query"];
    let record = fields.get("record").and_then(Value::as_object);
    let body = fields.iter().filter(|(name, _)| record.is_none() && name.starts_with("body"));
    let known = names.iter().filter_map(|name| fields.get_key_value(*name));
    for (name, value) in known.chain(body).chain(record.into_iter().flatten()) {
        match value {
            Value::Null => {}
            Value::String(text) if text.is_empty() => {}
            Value::String(text) => {
                output.line(format_args!("{name:<13} {}", plain(text)));
            }
            Value::Object(parts) if name == "headers" => {
                for (header, text) in parts {
                    let text = text.as_str().unwrap_or_default();
                    output.line(format_args!("{:<13} {}: {}", "header", plain(header), plain(text)));
                }
            }
            other => {
                output.line(format_args!("{name:<13} {}", json_text(&other.to_string())));
            }
        }
    }
}

/// Arguments of `quarantine export`.
#[derive(Debug, clap::Args)]
pub(super) struct QuarantineExport {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    place: Place,
}

impl QuarantineExport {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let open = Opened::at(&self.place)?;
        let mut output = Output::new();
        let filter: Filter = self.filter.filter();
        each_match(&open.reader, &filter, |entry| output.json(&whole(entry)))?;
        output.finish()
    }
}

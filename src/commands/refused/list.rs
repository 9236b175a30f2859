//! `refused list`.

use super::RefusedFilterArgs;
use super::source::each_refused;
use crate::commands::output::{Output, note};
use crate::commands::{CommandError, Place};
use crate::escape::plain;
use crate::refused::RefusedView;

/// The longest part of a reason that a list shows.
const REASON_MAX_CHARS: usize = 100;
/// Keys that a list shows.
const KEYS_SHOWN: usize = 2;

/// Arguments of `list`.
#[derive(Debug, clap::Args)]
pub(super) struct RefusedList {
    #[command(flatten)]
    filter: RefusedFilterArgs,
    /// Print one JSON object per entry.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    place: Place,
}

impl RefusedList {
    pub(super) fn run(&self) -> Result<(), CommandError> {
        let dir = self.place.config()?.dir;
        let mut output = Output::new();
        let mut lines = RefusedLines::new(self.json);
        each_refused(&dir, &self.filter.filter(), |entry| lines.put(&mut output, entry))?;
        if lines.count == 0 {
            note("no entries");
        }
        output.finish()
    }
}

/// Writes a list of entries, as a table or as JSON lines.
pub(super) struct RefusedLines {
    json: bool,
    pub(super) count: u64,
}

impl RefusedLines {
    pub(super) fn new(json: bool) -> Self {
        Self { json, count: 0 }
    }

    /// Writes an entry. Returns `false` if the reader closed the pipe.
    pub(super) fn put(&mut self, output: &mut Output, entry: &RefusedView) -> bool {
        self.count += 1;
        if self.json {
            return output.json(entry);
        }
        if self.count == 1 {
            let head = ("id", "time", "outcome", "replay", "app", "account", "keys");
            output.line(format_args!(
                "{:>6}  {:<24}  {:<13}  {:<9}  {:<12}  {:<24}  {:<24}  reason",
                head.0, head.1, head.2, head.3, head.4, head.5, head.6
            ));
        }
        let reason = plain(&entry.reason);
        let reason = match reason.char_indices().nth(REASON_MAX_CHARS) {
            Some((cut, _)) => format!("{}…", &reason[..cut]),
            None => reason.into_owned(),
        };
        output.line(format_args!(
            "{:>6}  {:<24}  {:<13}  {:<9}  {:<12}  {:<24}  {:<24}  {reason}",
            entry.id,
            plain(&entry.at),
            plain(&entry.outcome),
            replay(entry),
            entry.app.map_or_else(|| "-".to_owned(), |app| app.to_string()),
            entry.account.as_deref().map_or_else(|| "-".into(), plain),
            keys(entry),
        ))
    }
}

/// Whether an entry can be replayed.
fn replay(entry: &RefusedView) -> &'static str {
    match entry {
        RefusedView { replayed: Some(_), .. } => "done",
        RefusedView { replayable: true, .. } => "possible",
        RefusedView { authentic: false, .. } => "unsigned",
        _ => "no body",
    }
}

fn keys(entry: &RefusedView) -> String {
    let shown: Vec<_> = entry.msg_keys.iter().take(KEYS_SHOWN).map(|key| plain(key)).collect();
    let more = entry.msg_keys_total.saturating_sub(shown.len() as u64);
    match (shown.is_empty(), more) {
        (true, _) => "-".to_owned(),
        (false, 0) => shown.join(" "),
        (false, more) => format!("{} +{more}", shown.join(" ")),
    }
}

//! The lines of one screen.

use serde_json::Value;

use crate::commands::status::{number_lines, text, verdict_lines};

/// A table of the node.
pub(super) struct NodeTable {
    /// Its name in the JSON output, and the name of its rows in the response.
    pub(super) name: &'static str,
    /// Where the node has it.
    pub(super) path: &'static str,
    rows: &'static str,
    title: &'static str,
    /// The fields of a row, each with its width.
    columns: &'static [(&'static str, usize)],
}

pub(super) const TABLES: [NodeTable; 4] = [
    NodeTable {
        name: "refused",
        path: "/refused?limit=8",
        rows: "entries",
        title: "Refused, newest first (explain: recall-bridge explain --refused ID)",
        columns: &[("id", 7), ("at", 24), ("outcome", 12), ("account", 20), ("reason", 60)],
    },
    NodeTable {
        name: "quarantine",
        path: "/quarantine?limit=8",
        rows: "entries",
        title: "Quarantine, newest first (show: recall-bridge quarantine show ID)",
        columns: &[("id", 7), ("at", 24), ("reason", 16), ("account", 20), ("detail", 60)],
    },
    NodeTable {
        name: "published",
        path: "/published?limit=8",
        rows: "records",
        title: "Last published",
        columns: &[("published_at", 24), ("partition", 4), ("offset", 10), ("account", 20), ("msg_key", 40)],
    },
    NodeTable {
        name: "accounts",
        path: "/accounts",
        rows: "accounts",
        title: "Accounts with the most records since the start",
        columns: &[("records", 10), ("account", 60)],
    },
];

const ROWS: usize = 8;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const BAR_CELLS: usize = 60;

/// The lines of what [`see`](super::see) returned, or of an error.
pub(super) fn lines(seen: &Value) -> Vec<String> {
    if let Value::String(error) = &seen["error"] {
        return vec!["NO ANSWER".to_owned(), crate::escape::plain(error).into_owned()];
    }
    let mut lines = verdict_lines(&seen["status"]);
    lines.push(String::new());
    lines.extend(number_lines(&seen["status"]));
    lines.push(String::new());
    lines.extend(charts(&seen["history"]));
    for table in &TABLES {
        let rows = seen[table.name][table.rows].as_array().map(Vec::as_slice).unwrap_or_default();
        if !rows.is_empty() {
            lines.extend([String::new(), table.title.to_owned()]);
            lines.extend(rows.iter().take(ROWS).map(|row| line(table, row)));
        }
    }
    lines
}

fn line(table: &NodeTable, row: &Value) -> String {
    let cells = table.columns.iter().map(|(name, width)| {
        let text = text(&row[*name]);
        let shown: String = text.chars().take(*width).collect();
        format!("{shown:<width$}")
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// A line for each series of the last minutes: its name, its bars, its last and its largest value.
fn charts(history: &Value) -> Vec<String> {
    let numbers = |value: &Value| -> Vec<f64> {
        value.as_array().into_iter().flatten().map(|number| number.as_f64().unwrap_or(0.0)).collect()
    };
    let milliseconds = |value: &Value| numbers(value).iter().map(|seconds| seconds * 1000.0).collect::<Vec<_>>();
    let mut refused = vec![0.0; numbers(&history["accepted"]).len()];
    for outcome in history["refused"].as_object().into_iter().flatten() {
        refused.iter_mut().zip(numbers(outcome.1)).for_each(|(sum, count)| *sum += count);
    }
    let chart = |name: &str, values: &[f64]| {
        let (last, most) = (values.last().copied().unwrap_or(0.0), values.iter().copied().fold(0.0, f64::max));
        format!("{name:<16} {}  last {last:.0}, most {most:.0}", bars(values, most))
    };
    vec![
        chart("accepted", &numbers(&history["accepted"])),
        chart("refused", &refused),
        chart("ack p99, ms", &milliseconds(&history["ack_p99_seconds"])),
        chart("waiting", &numbers(&history["backlog"])),
        chart("publish p99, ms", &milliseconds(&history["publish_lag_p99_seconds"])),
    ]
}

/// One cell for each of the last values.
fn bars(values: &[f64], most: f64) -> String {
    let from = values.len().saturating_sub(BAR_CELLS);
    values[from..]
        .iter()
        .map(|value| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 7")]
            let place = if most > 0.0 { (value / most * 7.0).round().clamp(0.0, 7.0) as usize } else { 0 };
            if *value > 0.0 { BARS[place] } else { '·' }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn bars_follow_the_values_and_zero_is_a_dot() {
        assert_eq!(bars(&[0.0, 1.0, 4.0, 7.0], 7.0), "·▂▅█");
        assert_eq!(bars(&[0.0, 0.0], 0.0), "··");
        assert_eq!(bars(&[1.0; 100], 1.0).chars().count(), BAR_CELLS);
    }

    #[test]
    fn a_row_is_cut_to_its_columns() {
        let row = json!({ "records": 3, "account": "x".repeat(100) });
        assert_eq!(line(&TABLES[3], &row), format!("3           {}", "x".repeat(60)));
    }
}

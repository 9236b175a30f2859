//! A strict parser of Prometheus' text format, version 0.0.4.

use std::collections::{BTreeMap, BTreeSet};

/// Parses `/metrics`. Panics at a line that a Prometheus server would reject, at a family without help or type, and
/// at a histogram with inconsistent buckets.
#[track_caller]
pub fn parse(text: &str) -> BTreeMap<String, f64> {
    assert!(text.ends_with('\n'));
    let (mut help, mut types) = (BTreeSet::new(), BTreeMap::new());
    let mut samples = BTreeMap::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, words) = rest.split_once(' ').unwrap_or_else(|| panic!("no help: {line}"));
            assert!(!words.is_empty() && help.insert(name), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap_or_else(|| panic!("no type: {line}"));
            assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert!(types.insert(name, kind).is_none(), "{line}");
        } else {
            let (series, value) = sample(line);
            let family = family(series, &types);
            assert!(help.contains(family) && types.contains_key(family), "{line}");
            assert!(samples.insert(series.to_owned(), value).is_none(), "twice: {line}");
        }
    }
    for (name, _) in types.iter().filter(|(_, kind)| **kind == "histogram") {
        check_histogram(name, &samples);
    }
    samples
}

fn sample(line: &str) -> (&str, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("no number: {line}"));
    let (name, labels) = series.split_once('{').map_or((series, None), |(name, rest)| (name, Some(rest)));
    let legal = |name: &str| {
        !name.starts_with(|c: char| c.is_ascii_digit())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b':')
    };
    assert!(!name.is_empty() && legal(name), "{line}");
    if let Some(labels) = labels {
        let labels = labels.strip_suffix('}').unwrap_or_else(|| panic!("open labels: {line}"));
        for label in labels.split(',') {
            let (name, value) = label.split_once('=').unwrap_or_else(|| panic!("no label: {line}"));
            assert!(legal(name), "{line}");
            assert!(value.len() >= 2 && value.starts_with('"') && value.ends_with('"'), "{line}");
        }
    }
    (series, value)
}

fn family<'a>(series: &'a str, types: &BTreeMap<&str, &str>) -> &'a str {
    let name = series.split('{').next().unwrap_or_default();
    let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
    of_histogram.filter(|name| types.get(name) == Some(&"histogram")).unwrap_or(name)
}

fn check_histogram(name: &str, samples: &BTreeMap<String, f64>) {
    let prefix = format!("{name}_bucket{{le=\"");
    let mut buckets: Vec<(f64, f64)> = samples
        .iter()
        .filter_map(|(series, count)| {
            Some((series.strip_prefix(&prefix)?.strip_suffix("\"}")?.parse::<f64>().expect("a bound"), *count))
        })
        .collect();
    buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
    assert!(buckets.windows(2).all(|pair| pair[0].1 <= pair[1].1), "{name}: {buckets:?}");
    let last = buckets.last().unwrap_or_else(|| panic!("{name} has no buckets"));
    assert!(last.0.is_infinite() && (last.1 - samples[&format!("{name}_count")]).abs() < 0.5, "{name}: {buckets:?}");
    assert!(samples.contains_key(&format!("{name}_sum")));
}

//! The names of metrics: as they are exported, and as rules, dashboard and documentation have them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

pub fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("lies in the workspace").join(path)
}

pub fn read(path: &str) -> String {
    let path = file(path);
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Of every metric of an exposition as people know it: counters with `_total`, histograms without a suffix.
pub fn of_metrics(text: &str) -> BTreeSet<String> {
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let metrics = types.filter_map(|line| line.split_once(' '));
    metrics.map(|(name, kind)| if kind == "counter" { format!("{name}_total") } else { name.to_owned() }).collect()
}

/// Every word of a text that is a metric's name.
pub fn mentioned(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("lethe_") || word.starts_with("process_"));
    names.map(str::to_owned).collect()
}

/// The same of those that stand between backticks, as in a table.
pub fn in_backticks(text: &str) -> BTreeSet<String> {
    let quoted = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    let names = quoted.filter(|word| mentioned(word).contains(*word));
    names.map(str::to_owned).collect()
}

/// As `promtool check metrics` wants it: the format before OpenMetrics, where a counter's suffix is a part of its name.
pub fn as_older_format(text: &str) -> String {
    let counters: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ").and_then(|line| line.strip_suffix(" counter")))
        .collect();
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT" | "EOF"), _, _) => String::new(),
            (Some("#"), Some(what), Some(name), Some(rest)) if counters.contains(name) => {
                format!("# {what} {name}_total {rest}\n")
            }
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

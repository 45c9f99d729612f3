//! Names and numbers of the wire as people read them.
//!
//! It must never pass on a control character: reasons quote data that attackers write.

use lethe_proto::v1::{PhaseKind, RunState};

pub fn state(state: RunState) -> &'static str {
    match state {
        RunState::Pending => "pending",
        RunState::Running => "running",
        RunState::Succeeded => "succeeded",
        RunState::Failed => "failed",
        RunState::Cancelled => "cancelled",
        RunState::Paused => "paused",
        RunState::Unspecified => "unknown",
    }
}

pub fn kind(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::Map => "map",
        PhaseKind::Reduce => "reduce",
        PhaseKind::Gang => "gang",
        PhaseKind::Unspecified => "unknown",
    }
}

/// `1,234,567`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 shard`, `2 shards`.
pub fn counted(number: u64, thing: &str) -> String {
    if number == 1 { format!("1 {thing}") } else { format!("{} {thing}s", count(number)) }
}

/// `1st`, `2nd`, `11th`.
pub fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// `79.6 GB`; absent for a size that nobody told.
pub fn size(bytes: u64) -> Option<String> {
    match bytes {
        0 => None,
        1..1_000 => Some(format!("{bytes} B")),
        1_000..1_000_000 => Some(format!("{:.1} kB", bytes as f64 / 1e3)),
        1_000_000..1_000_000_000 => Some(format!("{:.1} MB", bytes as f64 / 1e6)),
        1_000_000_000.. => Some(format!("{:.1} GB", bytes as f64 / 1e9)),
    }
}

/// Text from elsewhere, on one line and harmless to a terminal.
pub fn plain(text: &str) -> String {
    let harmless = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().map(harmless).collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A reason, or that there is none, since a state that is not running always has one.
pub fn reason(text: &str) -> String {
    if text.trim().is_empty() { "the coordinator gave no reason".to_owned() } else { plain(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_readable() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([counted(1, "shard"), counted(1_000, "shard")], ["1 shard", "1,000 shards"]);
        assert_eq!(
            [1, 2, 3, 4, 11, 12, 21, 113].map(ordinal),
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "21st", "113th"]
        );
        assert_eq!(
            [0, 1_500, 2_000_000, 79_600_000_000].map(size).map(Option::unwrap_or_default),
            ["", "1.5 kB", "2.0 MB", "79.6 GB"]
        );
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_a_terminal() {
        assert_eq!(plain("a\u{1b}[2Jb\r\n c\u{9b}d"), "a [2Jb c d");
        assert_eq!(reason(" "), "the coordinator gave no reason");
    }
}

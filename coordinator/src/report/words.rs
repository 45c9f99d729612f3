//! Numbers in the form a person reads.
//!
//! It must never round a share to 0 % or 100 % that is not exactly that.

/// A count with its thousands set apart: `1,234,567`.
pub(crate) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share as a percentage with one decimal place.
pub(super) fn percent(share: f64) -> String {
    let tenths = (share * 1000.0).round() as i64;
    match tenths {
        0 if share > 0.0 => "< 0.1 %".to_owned(),
        1000 if share < 1.0 => "> 99.9 %".to_owned(),
        _ => format!("{} %", trimmed(tenths as f64 / 10.0)),
    }
}

fn trimmed(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// A span of time in its two largest units.
pub(crate) fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole / 60 % 60),
    }
}

/// A size in the largest unit that leaves a number of at least one.
pub(super) fn size(bytes: u64) -> String {
    let units = ["bytes", "KB", "MB", "GB", "TB", "PB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1000.0 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{} {}", trimmed(value), units[unit])
}

/// `1 sample`, `2 samples`.
pub(crate) fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", count(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_their_thousands_apart() {
        let texts: Vec<String> = [0, 12, 999, 1000, 1_234_567].into_iter().map(count).collect();
        assert_eq!(texts, ["0", "12", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn a_share_is_never_rounded_to_none_or_all() {
        let texts: Vec<String> = [0.0, 0.0001, 0.125, 0.9999, 1.0, -0.02].into_iter().map(percent).collect();
        assert_eq!(texts, ["0 %", "< 0.1 %", "12.5 %", "> 99.9 %", "100 %", "-2 %"]);
    }

    #[test]
    fn spans_use_their_two_largest_units() {
        let texts: Vec<String> = [0.04, 9.96, 75.0, 3725.0].into_iter().map(duration).collect();
        assert_eq!(texts, ["0.0 s", "10 s", "1 min 15 s", "1 h 02 min"]);
        assert_eq!((size(999).as_str(), size(1_500_000).as_str()), ("999 bytes", "1.5 MB"));
    }
}

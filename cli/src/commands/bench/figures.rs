//! What every benchmark says of its figures: their middle and spread, and where they were measured.
//!
//! It must never round: whoever prints decides that.

use serde_json::{Value, json};

use crate::arguments::Format;
use crate::exit::Ending;

/// Prints what was found, for people or for programs.
pub fn show(format: Format, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Ending {
    match format {
        Format::Text => print!("{}", text()),
        Format::Json => println!("{:#}", json()),
    }
    Ending::Accepted
}

/// The middle value, or the mean of the two.
pub fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        len if len % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The middle, the least and the most; nothing of nothing.
pub fn spread(values: impl Iterator<Item = f64>) -> Option<[f64; 3]> {
    let found: Vec<f64> = values.collect();
    let middle = median(found.iter().copied())?;
    let (least, most) = found.iter().fold((f64::MAX, f64::MIN), |(a, b), found| (a.min(*found), b.max(*found)));
    Some([middle, least, most])
}

/// What this was measured on and with.
pub fn setting() -> Value {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, std::num::NonZero::get),
        "load_average": load.split_whitespace().next().and_then(|text| text.parse::<f64>().ok()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_between_the_extremes() {
        assert_eq!(median([3.0, 1.0, 2.0].into_iter()), Some(2.0));
        assert_eq!(median([4.0, 1.0].into_iter()), Some(2.5));
        assert_eq!(median(std::iter::empty()), None);
    }

    #[test]
    fn a_spread_has_its_extremes_beside_the_median() {
        assert_eq!(spread([3.0, 1.0, 2.0].into_iter()), Some([2.0, 1.0, 3.0]));
        assert_eq!(spread(std::iter::empty()), None);
    }
}

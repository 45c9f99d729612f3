//! Figures as the plan prints them: two digits that count, since its inputs have no more.

use crate::show::count;

/// `99`, `1,400`, `0.36`; a whole number as it is.
pub fn number(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let digits = 1 - value.abs().log10().floor() as i32;
    if value >= 1.0 && value.fract() == 0.0 && value < 1e15 {
        return count(value as u64);
    }
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    if digits > 0 { format!("{rounded:.*}", digits as usize) } else { count(rounded as u64) }
}

pub fn time(seconds: f64) -> String {
    match seconds {
        s if s >= 2.0 * 86_400.0 => format!("{} d", number(round(s / 86_400.0))),
        s if s >= 2.0 * 3_600.0 => format!("{} h", number(round(s / 3_600.0))),
        s if s >= 120.0 => format!("{} min", number(round(s / 60.0))),
        s if s >= 1.0 => format!("{} s", number(round(s))),
        s => format!("{} ms", number(round(s * 1e3))),
    }
}

pub fn size(bytes: f64) -> String {
    let units = [("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)];
    let unit = units.into_iter().find(|(_, scale)| bytes >= *scale);
    unit.map_or_else(
        || format!("{} B", number(round(bytes))),
        |(unit, scale)| format!("{} {unit}", number(round(bytes / scale))),
    )
}

pub fn rate(pairs: f64) -> String {
    format!("{} pairs/s", number(round(pairs)))
}

/// To two digits that count.
fn round(value: f64) -> f64 {
    if value <= 0.0 {
        return 0.0;
    }
    let scale = 10_f64.powi(1 - value.log10().floor() as i32);
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_digits_count() {
        assert_eq!(
            [0.0, 0.361, 7.04, 99.4, 1_386.4, 9_070.0].map(number),
            ["0", "0.36", "7.0", "99", "1,400", "9,070"]
        );
        assert_eq!([0.004, 59.0, 7_000.0, 10_800.0, 318_000.0].map(time), ["4 ms", "59 s", "120 min", "3 h", "3.7 d"]);
        assert_eq!([50.0, 25e3, 31.3e9].map(size), ["50 B", "25 kB", "31 GB"]);
    }
}

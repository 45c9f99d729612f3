//! Times as people say them: how long ago, when, and in how long.
//!
//! It must never show an epoch second: 0 stands for a time that nobody knows, and is absent.

use std::time::Duration;

use chrono::{DateTime, Local, TimeZone};
use lethe_common::time::Millis;

/// `3 min ago`; absent for a time that is not known.
pub fn ago(then_ms: u64, now: Millis) -> Option<String> {
    let since_ms = now.since_ms(Millis(then_ms));
    match then_ms {
        0 => None,
        _ if since_ms < 1_000 => Some("just now".to_owned()),
        _ => Some(format!("{} ago", rough(Duration::from_millis(since_ms)))),
    }
}

/// `ETA 14:05 (in 12 min)`, in the reader's own time zone; absent where nobody can tell.
pub fn eta(eta_ms: u64, now: Millis) -> Option<String> {
    eta_in(eta_ms, now, &Local)
}

fn eta_in<Z: TimeZone>(eta_ms: u64, now: Millis, zone: &Z) -> Option<String>
where
    Z::Offset: std::fmt::Display,
{
    let then = moment(eta_ms, zone)?;
    let clock = if then.date_naive() == moment(now.0, zone)?.date_naive() { "%H:%M" } else { "%-d %b %H:%M" };
    let left_ms = Millis(eta_ms).since_ms(now);
    let left = if left_ms == 0 { "now".to_owned() } else { format!("in {}", rough(Duration::from_millis(left_ms))) };
    Some(format!("ETA {} ({left})", then.format(clock)))
}

fn moment<Z: TimeZone>(ms: u64, zone: &Z) -> Option<DateTime<Z>> {
    let utc = DateTime::from_timestamp_millis(i64::try_from(ms).ok().filter(|ms| *ms != 0)?)?;
    Some(utc.with_timezone(zone))
}

/// One figure, rounded down: who waits for hours does not wait for seconds.
pub fn rough(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        86_400.. => format!("{} d {} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use chrono::FixedOffset;

    use super::*;

    /// 24 November 2026, 13:53:00 in UTC.
    const NOW: Millis = Millis(1_795_528_380_000);

    #[test]
    fn past_times_are_one_figure() {
        let table = [(0, "just now"), (59_000, "59 s ago"), (200_000, "3 min ago"), (11_100_000, "3 h 05 min ago")];
        for (before_ms, told) in table {
            assert_eq!(ago(NOW.0 - before_ms, NOW).as_deref(), Some(told));
        }
        assert_eq!(ago(NOW.0 - 200_000_000, NOW).as_deref(), Some("2 d 7 h ago"));
        assert_eq!(ago(NOW.0 + 5_000, NOW).as_deref(), Some("just now"), "clocks of two machines differ");
        assert_eq!(ago(0, NOW), None);
    }

    #[test]
    fn an_eta_is_a_clock_and_a_wait() {
        let utc = FixedOffset::east_opt(0).expect("is in range");
        let eta = |in_ms| eta_in(NOW.0 + in_ms, NOW, &utc).expect("is known");
        assert_eq!(eta(720_000), "ETA 14:05 (in 12 min)");
        assert_eq!(eta(0), "ETA 13:53 (now)");
        assert_eq!(eta(2 * 86_400_000), "ETA 26 Nov 13:53 (in 2 d 0 h)");
        let tokyo = FixedOffset::east_opt(9 * 3_600).expect("is in range");
        assert_eq!(eta_in(NOW.0 + 720_000, NOW, &tokyo).as_deref(), Some("ETA 23:05 (in 12 min)"));
        assert_eq!(eta_in(0, NOW, &utc), None);
    }
}

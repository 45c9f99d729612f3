//! When a schedule's audit was due, and the id that it has by that.
//!
//! It must never depend on when it is asked: whoever fires a schedule for one time, and however often, names one audit.

use std::str::FromStr;

use chrono::{DateTime, NaiveDateTime, Utc};
use lethe_common::ids::{AuditId, IdError};

const MINUTE_S: i64 = 60;
/// As ids have a time: in the order of time where they are in that of text.
const FORM: &str = "%Y%m%dt%H%Mz";

/// A time to the minute, as cron has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due(DateTime<Utc>);

impl FromStr for Due {
    type Err = String;

    /// A time with its offset, or the name of a Job that a Kubernetes CronJob made: it ends in the minutes since 1970 of the
    /// time that it was due, however late the Job was started.
    fn from_str(text: &str) -> Result<Self, String> {
        let seconds = match DateTime::parse_from_rfc3339(text) {
            Ok(time) => Some(time.timestamp()),
            Err(_) => minutes_of_job(text).and_then(|minutes| minutes.checked_mul(MINUTE_S)),
        };
        let minute = seconds.and_then(|s| DateTime::from_timestamp(s - s.rem_euclid(MINUTE_S), 0));
        // Other years are no time that somebody meant, and would have an id of another form.
        let minute = minute.filter(|time| (2000..=9999).contains(&chrono::Datelike::year(time)));
        minute.map(Self).ok_or_else(|| {
            "expected a time such as 2026-11-29T02:00:00Z, or the name of a CronJob's Job, which ends in the minutes since 1970 \
             (one by hand: kubectl create job --from=cronjob/NAME NAME-$(($(date +%s) / 60)))"
                .to_owned()
        })
    }
}

fn minutes_of_job(name: &str) -> Option<i64> {
    let (_, digits) = name.rsplit_once('-')?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then_some(digits)?.parse().ok()
}

impl Due {
    /// `nightly-20261129t0200z` for `nightly`.
    ///
    /// # Errors
    /// A schedule whose name leaves no room for the time.
    pub fn audit_of(self, schedule: &AuditId) -> Result<AuditId, IdError> {
        AuditId::new(&format!("{schedule}-{}", self.0.format(FORM)))
    }

    /// Whether an audit is one of a schedule's, and of an earlier time.
    pub fn is_after(self, audit: &str, schedule: &AuditId) -> bool {
        let time = audit.strip_prefix(schedule.as_str()).and_then(|rest| rest.strip_prefix('-'));
        let time = time.and_then(|text| NaiveDateTime::parse_from_str(text, FORM).ok());
        time.is_some_and(|time| time.and_utc() < self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> String {
        let schedule = AuditId::new("nightly").expect("is one");
        match text.parse::<Due>() {
            Ok(due) => due.audit_of(&schedule).expect("has room").to_string(),
            Err(told) => told,
        }
    }

    #[test]
    fn one_time_is_one_id_however_it_is_written() {
        for same in [
            "2026-11-29T02:00:00Z",
            "2026-11-29T03:00:59+01:00",
            "2026-11-28T18:00:00.5-08:00",
            "lethe-schedule-29931960",
            "x-29931960",
        ] {
            assert_eq!(id(same), "nightly-20261129t0200z", "{same}");
        }
        assert_eq!(id("lethe-schedule-29931961"), "nightly-20261129t0201z");
    }

    #[test]
    fn an_audit_goes_on_from_earlier_ones_of_its_own_schedule() {
        let (schedule, due) = (AuditId::new("nightly").expect("is one"), "2026-11-29T02:00:00Z".parse::<Due>());
        let due = due.expect("is a time");
        for (audit, is_earlier) in [
            ("nightly-20261128t0200z", true),
            ("nightly-20261129t0159z", true),
            ("nightly-20261129t0200z", false),
            ("nightly-20261130t0200z", false),
            ("nightly", false),
            ("nightly-2", false),
            ("other-20261128t0200z", false),
            ("nightly-b-20261128t0200z", false),
        ] {
            assert_eq!(due.is_after(audit, &schedule), is_earlier, "{audit}");
        }
    }

    #[test]
    fn what_is_no_time_is_told_with_what_would_be() {
        for bad in
            ["", "tomorrow", "2026-11-29", "2026-11-29T02:00:00", "by-hand", "job-", "job-+5", "job-12", "29931960"]
        {
            assert!(id(bad).starts_with("expected a time such as"), "{bad}: {}", id(bad));
        }
        let all = ["job-99999999999999999999", "job-9223372036854775807", "0000-01-01T00:00:00Z"];
        assert!(all.iter().all(|bad| id(bad).starts_with("expected a time such as")));
    }

    #[test]
    fn a_schedule_leaves_room_for_its_times() {
        let due: Due = "2026-11-29T02:00:00Z".parse().expect("is one");
        let named = |length: usize| due.audit_of(&AuditId::new(&"x".repeat(length)).expect("is one"));
        assert!(named(49).is_ok() && named(50).is_err());
    }
}

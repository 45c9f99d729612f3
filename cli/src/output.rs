//! What commands print on stdout when they are done: tables for people.
//!
//! It must never print progress; that is [`crate::follow`]'s, on stderr.

use std::time::Duration;

use lethe_common::time::Millis;
use lethe_proto::v1::AuditView;

use crate::follow::phase::{elapsed, spoken};

/// Seconds of each phase that ran, in order.
pub fn phase_seconds(view: &AuditView) -> Vec<(String, f64)> {
    // The end is known for a phase that is done; the time now is never used.
    let seconds = |phase| elapsed(phase, Millis(0)).map(|d: Duration| d.as_secs_f64());
    view.phases.iter().filter_map(|phase| Some((phase.name.clone(), seconds(phase)?))).collect()
}

/// Phases with their times, and the sum.
pub fn phase_table(phases: &[(String, f64)]) -> String {
    let line = |name: &str, seconds: f64| format!("  {name:<10} {:>12}\n", spoken(Duration::from_secs_f64(seconds)));
    let total = phases.iter().map(|(_, seconds)| seconds).sum();
    phases.iter().map(|(name, seconds)| line(name, *seconds)).collect::<String>() + &line("all", total)
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::PhaseView;

    use super::*;

    #[test]
    fn phases_that_never_ran_are_left_out() {
        let phase = |name: &str, started_ms, ended_ms| PhaseView {
            name: name.to_owned(),
            started_ms,
            ended_ms,
            ..PhaseView::default()
        };
        let phases = vec![phase("plan", 1_000, 1_500), phase("score", 1_500, 4_000), phase("report", 0, 0)];
        let seconds = phase_seconds(&AuditView { phases, ..AuditView::default() });
        assert_eq!(seconds, [("plan".to_owned(), 0.5), ("score".to_owned(), 2.5)]);
        assert!(phase_table(&seconds).ends_with("all               3.0 s\n"), "{}", phase_table(&seconds));
    }
}

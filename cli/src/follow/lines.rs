//! Progress as log lines: one when a phase starts, one when it ends, one when a reason to wait changes.
//!
//! It must never repeat itself: a view that says nothing new prints nothing.

use std::collections::BTreeMap;

use lethe_common::time::Millis;
use lethe_proto::v1::{AuditView, PhaseView, RunState};

use super::phase::{elapsed, rate, spoken};
use crate::show::{plain, state, waits};

/// What was said of each phase last.
#[derive(Debug, Default)]
pub struct Lines {
    said: BTreeMap<String, String>,
    /// What was said of the audit as a whole last.
    audit: String,
}

impl Lines {
    pub fn show(&mut self, view: &AuditView) {
        self.news(view, Millis::now()).iter().for_each(|line| eprintln!("{line}"));
    }

    fn news(&mut self, view: &AuditView, now: Millis) -> Vec<String> {
        let of_phases: Vec<String> = view.phases.iter().filter_map(|phase| self.of_phase(phase, now)).collect();
        of_phases.into_iter().chain(self.of_audit(view)).collect()
    }

    /// Why the whole audit waits; a phase's own failure is told by the phase.
    fn of_audit(&mut self, view: &AuditView) -> Option<String> {
        let waits = match view.state() {
            RunState::Pending | RunState::Paused | RunState::Running => waits(view),
            RunState::Succeeded | RunState::Failed | RunState::Cancelled | RunState::Unspecified => None,
        };
        let line = waits.map(|why| format!("{}: {}: {why}", view.audit, state(view.state()))).unwrap_or_default();
        if line == self.audit {
            return None;
        }
        self.audit.clone_from(&line);
        (!line.is_empty()).then_some(line)
    }

    fn of_phase(&mut self, phase: &PhaseView, now: Millis) -> Option<String> {
        let line = line(phase, now)?;
        let key = key(phase);
        if self.said.get(&phase.name) == Some(&key) {
            return None;
        }
        self.said.insert(phase.name.clone(), key);
        Some(line)
    }
}

/// What makes a line worth saying again: a new state, or another reason to wait.
fn key(phase: &PhaseView) -> String {
    format!("{} {}", phase.state, phase.reason)
}

fn line(phase: &PhaseView, now: Millis) -> Option<String> {
    let name = &phase.name;
    match phase.state() {
        RunState::Running if phase.reason.is_empty() => Some(format!("{name}: started, {}", tasks(phase.total))),
        RunState::Running => Some(format!("{name}: waits: {}", plain(&phase.reason))),
        RunState::Succeeded => Some(format!("{name}: {}", done(phase, now))),
        RunState::Failed | RunState::Cancelled => Some(format!("{name}: failed: {}", plain(&phase.reason))),
        RunState::Pending | RunState::Paused | RunState::Unspecified => None,
    }
}

fn tasks(count: u64) -> String {
    if count == 1 { "1 task".to_owned() } else { format!("{count} tasks") }
}

fn done(phase: &PhaseView, now: Millis) -> String {
    let took = elapsed(phase, now).map(|d| format!("done in {}", spoken(d)));
    let failed = phase.counts.map_or(0, |c| c.failed);
    let bad = (failed > 0).then(|| format!("{failed} samples could not be read"));
    let retries = (phase.retries > 0).then(|| format!("{} retries", phase.retries));
    let parts: Vec<String> = [took, rate(phase, now), bad, retries].into_iter().flatten().collect();
    if parts.is_empty() { "done".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::{Counts, PhaseKind};

    use super::*;

    fn view(state: RunState, reason: &str, ended_ms: u64) -> AuditView {
        let score = PhaseView {
            name: "score".to_owned(),
            kind: PhaseKind::Map.into(),
            state: state.into(),
            total: 20,
            started_ms: 1_000,
            ended_ms,
            retries: 1,
            counts: Some(Counts { read: 2_000, scored: 1_999, failed: 1 }),
            reason: reason.to_owned(),
            ..PhaseView::default()
        };
        AuditView { phases: vec![score], ..AuditView::default() }
    }

    #[test]
    fn only_news_is_said() {
        let mut lines = Lines::default();
        let mut said = |state, reason, ended| lines.news(&view(state, reason, ended), Millis(9_000));
        assert!(said(RunState::Pending, "", 0).is_empty());
        assert_eq!(said(RunState::Running, "1 of 2 workers joined", 0), ["score: waits: 1 of 2 workers joined"]);
        assert!(said(RunState::Running, "1 of 2 workers joined", 0).is_empty());
        assert_eq!(said(RunState::Running, "", 0), ["score: started, 20 tasks"]);
        let last = "score: done in 2.0 s, 1000 samples/s, 1 samples could not be read, 1 retries";
        assert_eq!(said(RunState::Succeeded, "", 3_000), [last]);
        assert!(said(RunState::Succeeded, "", 3_000).is_empty());
    }

    #[test]
    fn why_an_audit_waits_is_said_once() {
        let mut lines = Lines::default();
        let paused = |reason: &str| AuditView {
            audit: "march".to_owned(),
            state: RunState::Paused.into(),
            reason: reason.to_owned(),
            ..AuditView::default()
        };
        assert_eq!(lines.news(&paused("by ann"), Millis(0)), ["march: paused: by ann"]);
        assert!(lines.news(&paused("by ann"), Millis(0)).is_empty());
        let running = AuditView { state: RunState::Running.into(), ..paused("") };
        assert!(lines.news(&running, Millis(0)).is_empty());
        assert_eq!(lines.news(&paused("by ann"), Millis(0)), ["march: paused: by ann"], "it is news again");
    }
}

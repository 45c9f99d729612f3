//! Progress as one live bar a phase, with its rate and what is left.
//!
//! It must never hide a reason to wait: where a phase cannot run, its bar says why.

use std::collections::BTreeMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use lethe_common::time::Millis;
use lethe_proto::v1::{AuditView, PhaseView, RunState};

use super::phase::{elapsed, rate, remaining, share, spoken};
use crate::show::{plain, state, waits};

/// A bar's length; phases count in different units, so bars show a share.
const FULL: u64 = 1_000;

pub struct Bars {
    all: MultiProgress,
    /// Why the whole audit waits, below its phases, where it does.
    waits: Option<ProgressBar>,
    by_phase: BTreeMap<String, ProgressBar>,
}

impl Bars {
    pub fn new() -> Self {
        Self { all: MultiProgress::new(), waits: None, by_phase: BTreeMap::new() }
    }

    pub fn show(&mut self, view: &AuditView) {
        let now = Millis::now();
        for phase in view.phases.iter().filter(|phase| phase.state() != RunState::Pending) {
            let bar = self.by_phase.entry(phase.name.clone()).or_insert_with(|| self.all.add(bar(&phase.name)));
            bar.set_position((share(phase, view.workers) * FULL as f64) as u64);
            bar.set_message(message(phase, view.workers, now));
            match phase.state() {
                RunState::Succeeded | RunState::Failed | RunState::Cancelled => bar.abandon(),
                RunState::Pending | RunState::Running | RunState::Paused | RunState::Unspecified => {}
            }
        }
        self.show_wait(view);
    }

    fn show_wait(&mut self, view: &AuditView) {
        if let Some(old) = self.waits.take() {
            old.finish_and_clear();
            self.all.remove(&old);
        }
        self.waits = waits(view).map(|why| {
            let style = ProgressStyle::with_template("{prefix:>10} {wide_msg}").expect("the template is constant");
            let line = self.all.add(ProgressBar::new(FULL).with_style(style).with_prefix(state(view.state())));
            line.set_message(why);
            line
        });
    }

    /// A line above the bars.
    pub fn say(&self, text: &str) {
        // A terminal that is gone shows nothing anyway.
        drop(self.all.println(text));
    }

    /// Leaves the bars as they are, below them a free line.
    pub fn finish(self) {
        self.waits.iter().for_each(ProgressBar::abandon);
        self.by_phase.values().filter(|bar| !bar.is_finished()).for_each(ProgressBar::abandon);
    }
}

fn bar(name: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:>10} {bar:30.cyan/dim} {percent:>3} %  {msg}");
    let style = style.expect("the template is constant").progress_chars("━╸ ");
    ProgressBar::new(FULL).with_style(style).with_prefix(name.to_owned())
}

fn message(phase: &PhaseView, workers: u32, now: Millis) -> String {
    if !phase.reason.is_empty() {
        return plain(&phase.reason);
    }
    let left = remaining(phase, workers, now).map(|d| format!("{} left", spoken(d)));
    let took = elapsed(phase, now).filter(|_| phase.ended_ms != 0).map(spoken);
    [rate(phase, now), left, took].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

//! What an audit came to, for whoever goes on by it: exit codes, Events, and what people are told.
//!
//! It must never take a result as accepted whose verdict nobody told.

use lethe_evidence::artifacts::Verdict;
use lethe_proto::v1::{AuditView, RunState};

/// The phase that says the verdict; a training has none.
const REPORT: &str = "report";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// There is no verdict, nor will there be one before the next phase that runs has said it.
    Without,
    Verdict(Verdict),
    /// There is one, and the coordinator is too old to say it, or so new that this build does not know the word.
    Unknown,
}

impl Outcome {
    pub fn of(view: &AuditView) -> Self {
        let is_reported =
            || view.phases.iter().any(|phase| phase.name == REPORT && phase.state() == RunState::Succeeded);
        match &view.conclusion {
            Some(conclusion) => Verdict::parse(&conclusion.verdict).map_or(Self::Unknown, Self::Verdict),
            None if is_reported() => Self::Unknown,
            None => Self::Without,
        }
    }
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::{Conclusion, PhaseView};

    use super::*;

    #[test]
    fn a_verdict_that_nobody_told_is_none_that_anybody_may_go_on_by() {
        let outcome = |phase: &str, verdict: Option<&str>| {
            let state = RunState::Succeeded.into();
            let phases = vec![PhaseView { name: phase.to_owned(), state, ..PhaseView::default() }];
            let conclusion = verdict.map(|verdict| Conclusion { verdict: verdict.to_owned(), headline: String::new() });
            Outcome::of(&AuditView { phases, conclusion, ..AuditView::default() })
        };
        assert_eq!(outcome("train", None), Outcome::Without);
        assert_eq!(outcome("report", None), Outcome::Unknown);
        assert_eq!(outcome("report", Some("of-next-year")), Outcome::Unknown);
        for verdict in Verdict::ALL {
            assert_eq!(outcome("report", Some(verdict.as_str())), Outcome::Verdict(verdict));
        }
    }
}

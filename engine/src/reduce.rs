//! A running reduce phase: one fold on the coordinator, tried a bounded number of times, or for a bounded time.
//!
//! It must never run twice at once in one term.

use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::{Attempt, PhaseIndex};
use lethe_common::time::Millis;

use crate::command::Command;
use crate::ledger::Ledger;
use crate::setback::Verdict;
use crate::turn::Turn;

#[derive(Debug, Clone)]
pub(crate) struct ReduceWork {
    phase: PhaseIndex,
    program: String,
    issued: u64,
    /// Tries that ended for want of storage, in all, and since when.
    unstored: u32,
    unstored_since: Option<Millis>,
    state: ReduceState,
}

/// ```text
///   Due --start--> Running --done--> (the phase is done)
///    ^ ^              |
///    | +-- retryable -+--> fatal, too many: the audit fails
///    +---- Rests <----+  no storage: again, after a rest, for as long as the grace
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReduceState {
    Due,
    Rests { until: Millis, why: String },
    Running(Attempt),
}

impl ReduceWork {
    pub fn open(phase: PhaseIndex, program: &str) -> Self {
        Self {
            phase,
            program: program.to_owned(),
            issued: 0,
            unstored: 0,
            unstored_since: None,
            state: ReduceState::Due,
        }
    }

    pub fn start_if_due(&mut self, ledger: &Ledger, turn: &mut Turn<'_>) {
        match self.state {
            ReduceState::Running(_) => {}
            ReduceState::Rests { until, .. } if turn.now < until => {}
            ReduceState::Rests { .. } | ReduceState::Due => {
                let attempt = Attempt { term: turn.term, counter: self.issued };
                self.issued += 1;
                self.state = ReduceState::Running(attempt);
                let (audit, phase, program) = (ledger.id.clone(), self.phase, self.program.clone());
                let inputs = ledger.shared_inputs(phase);
                turn.outbox.push(Command::StartReduce { audit, phase, attempt, program, inputs });
            }
        }
    }

    /// Whether that is the try that runs.
    pub fn runs(&self, phase: PhaseIndex, attempt: Attempt) -> bool {
        phase == self.phase && self.state == ReduceState::Running(attempt)
    }

    pub fn fault(&mut self, ledger: &mut Ledger, turn: &mut Turn<'_>, fault: &Fault) -> Verdict {
        self.state = ReduceState::Due;
        ledger.count_retry(self.phase, &mut turn.outbox);
        if fault.kind == FaultKind::Storage {
            return self.wait_for_storage(ledger, turn, &fault.message);
        }
        let (tried, limit) = (self.issued - u64::from(self.unstored), u64::from(turn.knobs.max_attempts));
        if !fault.is_fatal() && tried < limit {
            return Verdict::Retried;
        }
        let name = &ledger.spec(self.phase).name;
        Verdict::Fails(format!("phase {name}: try {tried} of {limit} failed on the coordinator: {}", fault.message))
    }

    fn wait_for_storage(&mut self, ledger: &Ledger, turn: &Turn<'_>, message: &str) -> Verdict {
        self.unstored += 1;
        let lasted_ms = turn.now.since_ms(*self.unstored_since.get_or_insert(turn.now));
        if lasted_ms < turn.knobs.grace_ms || self.unstored < turn.knobs.max_attempts {
            let rest_ms = turn.knobs.rest_ms(self.unstored.saturating_add(1)).unwrap_or_default();
            self.state = ReduceState::Rests { until: turn.now.plus_ms(rest_ms), why: message.to_owned() };
            return Verdict::Retried;
        }
        let (name, tries) = (&ledger.spec(self.phase).name, self.unstored);
        let seconds = lasted_ms / 1_000;
        Verdict::Fails(format!("phase {name}: {tries} tries in {seconds} s failed on the coordinator: {message}"))
    }

    /// Why it does not run, where it does not.
    pub fn reason(&self) -> String {
        match &self.state {
            ReduceState::Due | ReduceState::Running(_) => String::new(),
            ReduceState::Rests { why, .. } => {
                format!("rests after {} tries without storage; the last: {why}", self.unstored)
            }
        }
    }

    pub fn stop(&self, ledger: &Ledger, turn: &mut Turn<'_>) {
        match self.state {
            ReduceState::Due | ReduceState::Rests { .. } => {}
            ReduceState::Running(attempt) => {
                turn.outbox.push(Command::AbortReduce { audit: ledger.id.clone(), phase: self.phase, attempt });
            }
        }
    }
}

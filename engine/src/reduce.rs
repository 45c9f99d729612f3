//! A running reduce phase: one fold on the coordinator, tried a bounded number of times.
//!
//! It must never run twice at once in one term.

use lethe_common::fault::Fault;
use lethe_common::ids::{Attempt, PhaseIndex};

use crate::command::Command;
use crate::ledger::Ledger;
use crate::setback::Verdict;
use crate::turn::Turn;

#[derive(Debug, Clone)]
pub(crate) struct ReduceWork {
    phase: PhaseIndex,
    program: String,
    issued: u64,
    state: ReduceState,
}

/// ```text
///   Due --start--> Running --done--> (the phase is done)
///    ^                |
///    +-- retryable ---+--> fatal, too many: the audit fails
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
enum ReduceState {
    Due,
    Running(Attempt),
}

impl ReduceWork {
    pub fn open(phase: PhaseIndex, program: &str) -> Self {
        Self { phase, program: program.to_owned(), issued: 0, state: ReduceState::Due }
    }

    pub fn start_if_due(&mut self, ledger: &Ledger, turn: &mut Turn<'_>) {
        match self.state {
            ReduceState::Running(_) => {}
            ReduceState::Due => {
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
        let (tried, limit) = (self.issued, u64::from(turn.knobs.max_attempts));
        if !fault.is_fatal() && tried < limit {
            return Verdict::Retried;
        }
        let name = &ledger.spec(self.phase).name;
        Verdict::Fails(format!("phase {name}: try {tried} of {limit} failed on the coordinator: {}", fault.message))
    }

    pub fn stop(&self, ledger: &Ledger, turn: &mut Turn<'_>) {
        match self.state {
            ReduceState::Due => {}
            ReduceState::Running(attempt) => {
                turn.outbox.push(Command::AbortReduce { audit: ledger.id.clone(), phase: self.phase, attempt });
            }
        }
    }
}

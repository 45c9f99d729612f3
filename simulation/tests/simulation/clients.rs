//! The people: they submit until the audit is there, pause, resume, cancel and run again.
//!
//! It must never do what a client cannot: it sees which audits there are, and asks.

use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_engine::{AuditState, Control, Event};
use rand::RngExt;

use crate::faults::FaultKind;
use crate::invariants::audit;
use crate::jobs::Job;
use crate::world::World;

impl World {
    pub fn clients(&mut self) {
        for index in 0..self.jobs.len() {
            let job = self.jobs[index].clone();
            let there = audit(&self.store.records, &job.id);
            let (is_there, was_there) = (there.is_some(), audit(&self.store.archive, &job.id).is_some());
            let paused = there.is_some_and(|record| record.paused.is_some());
            if !was_there && ((!is_there && self.rng.random_bool(0.3)) || self.rng.random_bool(0.005)) {
                let event = self.submission(&job);
                self.inbox.push_back((event, 0));
            }
            if is_there {
                self.steer(index, paused);
            }
        }
        if self.jobs.len() < 6 && self.faults.strikes(&mut self.rng, FaultKind::Rerun) {
            self.run_again();
        }
    }

    fn submission(&self, job: &Job) -> Event {
        let spec_json = format!("{{\"asked_at\": {}}}", self.now.0);
        let (audit, plan, options) = (job.id.clone(), job.plan.clone(), job.options.clone());
        match &job.source {
            None => Event::Submitted { audit, plan, spec_json, options },
            Some((of, from)) => Event::RerunRequested { audit, of: of.clone(), from: *from, plan, spec_json, options },
        }
    }

    fn steer(&mut self, index: usize, paused: bool) {
        let audit = self.jobs[index].id.clone();
        if self.faults.strikes(&mut self.rng, FaultKind::Cancel) {
            self.jobs[index].cancelled = true;
            self.ask(audit, Control::Cancel);
        } else if paused {
            if self.rng.random_bool(0.05) {
                self.ask(audit, Control::Resume);
            }
        } else if self.faults.strikes(&mut self.rng, FaultKind::Pause) {
            self.ask(audit, Control::Pause);
        } else if self.jobs[index].options.approval && self.rng.random_bool(0.05) {
            self.ask(audit, Control::Approve); // too early most of the time
        }
    }

    fn ask(&mut self, audit: AuditId, control: Control) {
        self.inbox.push_back((Event::ControlRequested { audit, control, by: "ann".to_owned() }, 0));
    }

    pub fn resume_all(&mut self) {
        let ids: Vec<AuditId> = self.jobs.iter().map(|job| job.id.clone()).collect();
        ids.into_iter().for_each(|audit| self.ask(audit, Control::Resume));
    }

    /// Of an audit that can be: the job is there once the engine has taken it.
    fn run_again(&mut self) {
        let from = PhaseIndex(self.rng.random_range(0..5));
        let source = self.jobs[self.rng.random_range(0..self.jobs.len())].clone();
        let id = AuditId::new(&format!("again-{}", self.jobs.len())).expect("is a valid id");
        let can = self.engine.check_rerun(&id, &source.id, &source.plan, from).is_ok();
        let kept = self.knobs.retention_ms > 1_000_000 || {
            let state = audit(&self.store.records, &source.id).map(|record| record.state.clone());
            state == Some(AuditState::Running)
        };
        // The source of a source is the one that computed; a chain of them is the engine's own test.
        if can && kept && source.source.is_none() {
            self.jobs.push(source.again(id, from));
        }
    }
}

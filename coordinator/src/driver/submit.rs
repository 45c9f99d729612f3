//! What clients ask for: audits, re-runs, and their pause, resumption and end.
//!
//! It must never let in a plan that was not built from a spec this build reads.

use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_common::spec::Spec;
use lethe_engine::{Control, Event, Options};
use lethe_telemetry::Trace;
use tokio::sync::oneshot;

use super::answer::Promise;
use super::input::{Rerun, Submission};
use super::{Driver, Status, SubmitError};
use crate::metrics::span_of_audit;
use crate::planning::TAKEN_OVER;
use crate::plans;

type Reply = oneshot::Sender<Result<Status, SubmitError>>;

const MILLION: f64 = 1e6;

impl Driver {
    pub(super) fn submit(&mut self, submission: Submission, reply: Reply) {
        let audit = submission.spec.audit.id.clone();
        if let Some(stored) = self.engine.spec_json(&audit)
            && stored != submission.spec_json
        {
            drop(reply.send(Err(SubmitError::OtherSpec(audit)))); // the caller may be gone
            return;
        }
        let plan = plans::build(&submission.spec);
        let trace = self.trace(submission.trace, &audit);
        let options = options(&submission.spec, submission.submitter, (submission.priority, trace));
        let spec_json = submission.spec_json;
        self.push(Event::Submitted { audit: audit.clone(), plan, spec_json: spec_json.clone(), options });
        self.promise(Promise::Submitted { audit, spec_json, reply });
    }

    pub(super) fn rerun(&mut self, rerun: Rerun, reply: Reply) {
        match self.rerun_event(rerun) {
            Ok((audit, spec_json, event)) => {
                self.push(event);
                self.promise(Promise::Submitted { audit, spec_json, reply });
            }
            Err(error) => drop(reply.send(Err(error))), // the caller may be gone
        }
    }

    fn rerun_event(&self, rerun: Rerun) -> Result<(AuditId, String, Event), SubmitError> {
        let Rerun { audit, of, from, spec, submitter, priority, trace } = rerun;
        let mut spec = match spec {
            Some(spec) => spec,
            None => self.stored_spec(&of)?,
        };
        spec.audit.id = audit.clone();
        let plan = plans::build(&spec);
        let index = plan.phases.iter().zip(0..).find(|(phase, _)| phase.name == from).map(|(_, index)| index);
        let Some(index) = index else {
            let phases = plan.phases.into_iter().map(|phase| phase.name).collect();
            return Err(SubmitError::NoPhase { name: from, phases });
        };
        let from = PhaseIndex(index);
        // Who scores again wants scores that are computed, and by this spec: what the plan lists was computed by another.
        if TAKEN_OVER.iter().any(|program| program.as_str() == plan.phases[index as usize].name) {
            spec.audit.since = None;
        }
        self.engine.check_rerun(&audit, &of, &plan, from)?;
        let options = options(&spec, submitter, (priority, self.trace(trace, &audit)));
        let spec_json = serde_json::to_string(&spec).map_err(|e| SubmitError::Spec(audit.clone(), e.to_string()))?;
        let event =
            Event::RerunRequested { audit: audit.clone(), of, from, plan, spec_json: spec_json.clone(), options };
        Ok((audit, spec_json, event))
    }

    /// The caller's; where that has none and we tell spans, one that begins with the audit's own.
    fn trace(&self, of_caller: Option<Trace>, audit: &AuditId) -> Option<Trace> {
        let own = || self.config.spans.are_told().then(|| span_of_audit(Trace::begin(), audit));
        of_caller.or_else(own)
    }

    fn stored_spec(&self, of: &AuditId) -> Result<Box<Spec>, SubmitError> {
        let unknown = || SubmitError::Rerun(lethe_engine::RerunError::Unknown(of.clone()));
        let json = self.engine.spec_json(of).ok_or_else(unknown)?;
        serde_json::from_str(json).map_err(|e| SubmitError::Spec(of.clone(), e.to_string()))
    }

    pub(super) fn control(
        &mut self,
        audit: AuditId,
        (control, by): (Control, String),
        reply: oneshot::Sender<Option<Status>>,
    ) {
        self.push(Event::ControlRequested { audit: audit.clone(), control, by });
        self.promise(Promise::Controlled { audit, reply });
    }
}

fn options(spec: &Spec, submitter: String, (priority, trace): (i32, Option<Trace>)) -> Options {
    let ppm = |share: f64| (share.clamp(0.0, 1.0) * MILLION).round() as u32;
    Options {
        submitter,
        priority,
        max_lost_ppm: ppm(spec.data.max_failed_share),
        check_ppm: ppm(spec.score.check_share),
        approval: spec.report.approval,
        traceparent: trace.map(|trace| trace.to_string()),
    }
}

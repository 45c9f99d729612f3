//! Doing what the engine commands.
//!
//! It must never act on a command before the store took the batch ahead of it.

use std::sync::Arc;

use lethe_common::earlier::Taken;
use lethe_common::fault::Fault;
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId, WorkerId};
use lethe_common::program::{MapProgram, ReduceProgram};
use lethe_common::spec::Spec;
use lethe_engine::{Command, CommitOutcome, Counts, Engine, GangStart, MapStart, Output, PhaseState};
use lethe_telemetry::logs;
use tracing::{Instrument, debug, info};

use super::reduces::ReduceId;
use super::{Driver, MapPhase, Order, Status};
use crate::planning::{self, Earlier, TAKEN_OVER};
use crate::reduce::ReduceContext;
use crate::rendezvous::GangId;

impl Driver {
    /// Acts on commands in order.
    pub(super) fn obey(&mut self, commands: Vec<Command>, last_session: u64) {
        for command in commands {
            self.config.metrics.command(&command);
            match command {
                Command::Persist(_) => {} // taken from the head of the list, and durable by now
                Command::StartMap(start) if self.is_replaced(&start.worker, last_session) => {}
                Command::StartMap(start) => self.start_map(start),
                Command::StartGangMember(start) if self.is_replaced(&start.worker, last_session) => {}
                Command::StartGangMember(start) => self.start_member(start),
                Command::StartReduce { audit, phase, attempt, program, inputs } => {
                    self.start_reduce(ReduceId { audit, phase, attempt }, &program, inputs);
                }
                Command::AbortReduce { audit, phase, attempt } => {
                    self.reduces.abort(&ReduceId { audit, phase, attempt });
                }
                Command::Abort { worker, task, reason } => self.abort(&worker, task, reason),
                Command::Acknowledge { worker, task, outcome } => self.acknowledge(worker, task, outcome),
                Command::AcknowledgeCheckpoint { worker, task, step, outcome, replaced } => {
                    replaced.into_iter().for_each(|blob| self.delete_soon(blob.path));
                    let said = logs::task(&task, worker.as_str(), self.accounts.trace(&task.audit, task.phase));
                    said.in_scope(|| debug!(step, ?outcome, "checkpoint"));
                    for reply in self.checkpoints.remove(&(worker, task, step)).unwrap_or_default() {
                        reply.send(outcome).ok(); // the caller may be gone
                    }
                }
                Command::AuditEnded { audit } => self.ended(&audit),
            }
        }
    }

    /// What is left behind where this fails is swept with all that nobody points at.
    fn delete_soon(&self, path: String) {
        let blobs = self.config.blobs.clone();
        tokio::spawn(async move {
            if let Err(error) = blobs.delete(vec![path]).await {
                debug!(%error, "a checkpoint that was replaced is left to the sweep");
            }
        });
    }

    /// The worker's session began after this was decided: the loss of the one before is in the backlog, and its
    /// tasks will be leased anew.
    fn is_replaced(&self, worker: &WorkerId, last_session: u64) -> bool {
        self.sessions.contains(worker) && !self.sessions.is_of(worker, last_session)
    }

    fn start_map(&mut self, start: MapStart) {
        let key = (start.task.audit.clone(), start.task.phase);
        let phase = match self.phases.get(&key) {
            Some(phase) => Arc::clone(phase),
            None => {
                let context = self.engine.phase_context(&key.0, key.1).expect("only tasks of maps are started so");
                let trace = self.accounts.trace(&key.0, key.1);
                let phase = Arc::new(MapPhase { context, spec_json: self.spec_json(&key.0), trace });
                self.phases.insert(key, Arc::clone(&phase));
                phase
            }
        };
        self.config.metrics.leased_map(&phase.context.program);
        let worker = start.worker.clone();
        self.send(&worker, Order::Map { start, phase });
    }

    fn start_member(&mut self, start: GangStart) {
        self.rendezvous.open((start.task.audit.clone(), start.task.phase), start.generation);
        let (worker, spec_json) = (start.worker.clone(), self.spec_json(&start.task.audit));
        let trace = self.accounts.trace(&start.task.audit, start.task.phase);
        self.send(&worker, Order::Gang { start, spec_json, trace });
    }

    fn abort(&mut self, worker: &WorkerId, task: TaskId, reason: String) {
        self.progress.forget_task(&task);
        if self.sessions.contains(worker) {
            self.send(worker, Order::Abort { task, reason });
        }
    }

    fn acknowledge(&mut self, worker: WorkerId, task: TaskId, outcome: CommitOutcome) {
        // No span, which would cost something where nobody wants the line: there are thousands a second.
        let TaskId { audit, phase, shard, attempt } = &task;
        debug!(%worker, %audit, %phase, %shard, %attempt, ?outcome, "commit");
        for reply in self.commits.remove(&(worker, task)).unwrap_or_default() {
            reply.send(outcome).ok(); // the caller may be gone
        }
    }

    fn ended(&mut self, audit: &AuditId) {
        info!(%audit, state = ?self.engine.view(audit).map(|view| view.state), "audit ended");
        self.publish_now();
        self.progress.forget_audit(audit);
        self.phases.retain(|(of, _), _| of != audit);
    }

    fn start_reduce(&mut self, id: ReduceId, program: &str, inputs: Vec<Output>) {
        debug!(audit = %id.audit, program, "reduce");
        match self.reduce_context(&id, program, inputs) {
            Ok(context) => {
                let trace = self.accounts.trace(&id.audit, id.phase);
                let span = logs::task(&context.task, "coordinator", trace);
                let earlier = self.earlier(&context);
                self.reduces.start(id, planning::run(context, earlier).instrument(span));
            }
            Err(fault) => self.reduces.start(id, std::future::ready(Err(fault))),
        }
    }

    fn reduce_context(&self, id: &ReduceId, program: &str, inputs: Vec<Output>) -> Result<ReduceContext, Fault> {
        let ReduceId { audit, phase, attempt } = id.clone();
        let spec: Spec = serde_json::from_str(&self.spec_json(&audit))
            .map_err(|e| Fault::fatal(format!("the stored spec of audit {audit} is not one this build reads: {e}")))?;
        let view = self.engine.view(&audit);
        let phase_names = view.iter().flat_map(|view| &view.phases).map(|phase| phase.name.clone()).collect();
        Ok(ReduceContext {
            task: TaskId { audit: audit.clone(), phase, shard: ShardId(0), attempt },
            audit: audit.clone(),
            program: ReduceProgram::parse(program).map_err(|e| Fault::fatal(e.to_string()))?,
            spec,
            phase_names,
            inputs,
            blobs: self.config.blobs.clone(),
            result_folder: self.config.results.of(&audit),
            view,
        })
    }

    /// What a plan may take over, where its spec names an earlier audit.
    fn earlier(&self, context: &ReduceContext) -> Option<Earlier> {
        let since = context.spec.audit.since.clone().filter(|_| context.program == ReduceProgram::Plan)?;
        let known = match self.engine.view(&since) {
            None => Err(format!("there is no audit {since} any more")),
            Some(view) if context.view.as_ref().is_none_or(|own| own.submitter != view.submitter) => {
                Err(format!("{since} is {}'s", view.submitter))
            }
            Some(view) => Ok((view, TAKEN_OVER.iter().flat_map(|program| self.taken(&since, *program)).collect())),
        };
        Some((since, known))
    }

    fn taken(&self, audit: &AuditId, program: MapProgram) -> Vec<Taken> {
        let results = self.engine.map_results(audit, program.as_str()).unwrap_or_default();
        let taken = results.into_iter().map(|(shard, counts, outputs)| {
            let Counts { read, scored, failed } = counts;
            Taken { shard, phase: program.as_str().to_owned(), read, scored, failed, outputs }
        });
        taken.collect()
    }

    fn spec_json(&self, audit: &AuditId) -> Arc<str> {
        Arc::from(self.engine.spec_json(audit).unwrap_or_default())
    }

    fn send(&mut self, worker: &WorkerId, order: Order) {
        if let Err(reason) = self.sessions.send(worker, order) {
            self.lose(worker, reason.to_owned());
        }
    }

    /// Shows what changed, and ends the rooms of gangs that run no more.
    pub(super) fn publish(&mut self) {
        self.publish_is_due = self.saving.is_some();
        if self.saving.is_none() && self.watchers.take_change() {
            self.publish_now();
            self.rendezvous.retain(|gang| self.is_running(gang));
            let (engine, phases) = (&self.engine, &mut self.phases);
            phases.retain(|(audit, phase), _| runs(engine, audit, *phase));
        }
    }

    fn publish_now(&mut self) {
        let (engine, progress) = (&self.engine, &self.progress);
        self.watchers.publish(|audit| engine.view(audit).map(|view| Status::new(view, progress)));
    }

    fn is_running(&self, (audit, phase): &GangId) -> bool {
        runs(&self.engine, audit, *phase)
    }
}

fn runs(engine: &Engine, audit: &AuditId, phase: PhaseIndex) -> bool {
    engine.phase_state(audit, phase) == Some(&PhaseState::Running)
}

//! Answers to those who ask: at once where nothing changes, and once it is durable where something does.
//!
//! It must never show what may still be undone, but to tell while the store is away.

use lethe_common::ids::AuditId;
use tokio::sync::oneshot;

use super::input::{Greeting, Question};
use super::{Driver, Status, SubmitError};
use crate::metrics::Census;

/// An answer that waits for its event to be durable.
pub(super) enum Promise {
    /// Only where the audit is there with this spec: another of the same name may have come first.
    Submitted {
        audit: AuditId,
        spec_json: String,
        reply: oneshot::Sender<Result<Status, SubmitError>>,
    },
    Controlled {
        audit: AuditId,
        reply: oneshot::Sender<Option<Status>>,
    },
}

impl Driver {
    pub(super) fn promise(&mut self, promise: Promise) {
        self.promises.push_back((self.arrived, promise));
    }

    /// Callers may be gone, which is no matter.
    pub(super) fn keep(&mut self, promise: Promise) {
        match promise {
            Promise::Submitted { audit, spec_json, reply } => match self.status(&audit) {
                Some(_) if self.engine.spec_json(&audit) != Some(&*spec_json) => {
                    drop(reply.send(Err(SubmitError::OtherSpec(audit))));
                }
                Some(status) => drop(reply.send(Ok(status))),
                None => drop(reply), // it was refused for what came in between: the caller asks again
            },
            Promise::Controlled { audit, reply } => drop(reply.send(self.status(&audit))),
        }
    }

    /// Answers now, or when the batch on its way is durable.
    pub(super) fn hear(&mut self, question: Question) {
        match self.saving {
            None => self.answer(question),
            Some(_) => self.questions.push(question),
        }
    }

    pub(super) fn answer(&mut self, question: Question) {
        match question {
            Question::Watch { audit, reply } => {
                let watch = self.status(&audit).map(|status| self.watchers.watch(status));
                drop(reply.send(watch));
            }
            Question::Spec { audit, reply } => {
                drop(reply.send(self.engine.spec_json(&audit).map(str::to_owned))); // the caller may be gone
            }
            Question::ShardOutputs { audit, phase, shard, reply } => {
                drop(reply.send(self.engine.shard_outputs(&audit, &phase, shard)));
            }
            Question::List { reply } => {
                let views = self.engine.overview().into_iter();
                drop(reply.send(views.map(|view| Status::new(view, &self.progress)).collect()));
            }
            Question::Workers { reply } => {
                let greeted = |view: lethe_engine::WorkerView| {
                    let session = self.sessions.get(&view.worker);
                    let unknown = || Greeting::of(view.worker.clone());
                    let greeting = session.map_or_else(unknown, |session| session.greeting.clone());
                    (view, greeting)
                };
                drop(reply.send(self.engine.worker_views().into_iter().map(greeted).collect()));
            }
            Question::Census { reply } => {
                let census = Census::of(&self.engine.overview(), &self.engine.worker_views());
                drop(reply.send(census)); // the caller may be gone
            }
            Question::PointsAt { paths, reply } => {
                drop(reply.send(paths.iter().map(|path| self.engine.points_at(path)).collect()));
            }
        }
    }

    pub(super) fn status(&self, audit: &AuditId) -> Option<Status> {
        self.engine.view(audit).map(|view| Status::new(view, &self.progress))
    }
}

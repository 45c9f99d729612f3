//! The driver's orders as messages of the version that a worker speaks: phases told once, tasks in groups.
//!
//! It must never send a task ahead of its phase.

use std::sync::Arc;

use lethe_engine::MapStart;
use lethe_proto::v1;
use v1::coordinator_message::Kind;

use super::wire;
use crate::driver::{MapPhase, Order};

/// From here on workers hold several tasks and keep what they were told of a phase.
const GROUPED: u32 = 2;
/// Phases that a worker remembers at least, by the wire's contract.
const REMEMBERED: usize = 32;

/// What one session was told so far.
pub(super) struct Teller {
    version: u32,
    /// The last phases told, the latest last.
    told: Vec<Arc<MapPhase>>,
}

impl Teller {
    pub fn new(version: u32) -> Self {
        Self { version, told: Vec::new() }
    }

    /// The messages for these orders, in their order.
    pub fn messages(&mut self, orders: Vec<Order>) -> Vec<v1::CoordinatorMessage> {
        let mut messages = Vec::new();
        let mut group: Vec<(MapStart, Arc<MapPhase>)> = Vec::new();
        for order in orders {
            match order {
                Order::Map { start, phase } if self.version < GROUPED => {
                    messages.push(wire::message(Kind::Map(wire::map(start, &phase))));
                }
                Order::Map { start, phase } => {
                    if group.last().is_some_and(|(_, last)| !Arc::ptr_eq(last, &phase)) {
                        self.flush(&mut group, &mut messages);
                    }
                    group.push((start, phase));
                }
                Order::Gang { start, spec_json, trace } => {
                    self.flush(&mut group, &mut messages);
                    messages.push(wire::message(Kind::Gang(wire::gang(start, &spec_json, trace))));
                }
                Order::Abort { task, reason } => {
                    self.flush(&mut group, &mut messages);
                    messages.push(wire::message(Kind::Abort(v1::AbortTask { task: Some(task.into()), reason })));
                }
            }
        }
        self.flush(&mut group, &mut messages);
        messages
    }

    fn flush(&mut self, group: &mut Vec<(MapStart, Arc<MapPhase>)>, messages: &mut Vec<v1::CoordinatorMessage>) {
        let Some((start, phase)) = group.first() else { return };
        if !self.told.iter().any(|told| Arc::ptr_eq(told, phase)) {
            messages.push(wire::message(Kind::MapPhase(wire::phase(&start.task, phase))));
            self.told.push(Arc::clone(phase));
            if self.told.len() > REMEMBERED {
                self.told.remove(0);
            }
        }
        let lease_ms = start.lease_ms;
        let leases = group.drain(..).map(|(start, _)| wire::lease(start)).collect();
        messages.push(wire::message(Kind::MapLeases(v1::MapLeases { leases, lease_ms })));
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::{Attempt, AuditId, PhaseIndex, ShardId, TaskId, Term, WorkerId};
    use lethe_engine::PhaseContext;

    use super::*;

    fn phase() -> Arc<MapPhase> {
        let context = PhaseContext { program: "score".to_owned(), inputs: Vec::new() };
        Arc::new(MapPhase { context, spec_json: Arc::from("{}"), trace: None })
    }

    fn map(shard: u32, phase: &Arc<MapPhase>) -> Order {
        let audit = AuditId::new("a").expect("is an id");
        let attempt = Attempt { term: Term(1), counter: 0 };
        let task = TaskId { audit, phase: PhaseIndex(1), shard: ShardId(shard), attempt };
        let worker = WorkerId::new("w").expect("is an id");
        let start = MapStart { worker, task, inputs: Vec::new(), lease_ms: 9, batch_halvings: 0 };
        Order::Map { start, phase: Arc::clone(phase) }
    }

    fn kinds(messages: &[v1::CoordinatorMessage]) -> Vec<String> {
        let kind = |message: &v1::CoordinatorMessage| match message.kind.as_ref().expect("has a kind") {
            Kind::MapPhase(_) => "phase".to_owned(),
            Kind::MapLeases(group) => format!("{} leases", group.leases.len()),
            Kind::Map(_) => "map".to_owned(),
            Kind::Welcome(_) | Kind::Gang(_) | Kind::Abort(_) => "other".to_owned(),
        };
        messages.iter().map(kind).collect()
    }

    #[test]
    fn a_phase_is_told_once_and_its_tasks_go_together() {
        let (mut teller, one, other) = (Teller::new(2), phase(), phase());
        let first = teller.messages(vec![map(0, &one), map(1, &one), map(0, &other)]);
        assert_eq!(kinds(&first), ["phase", "2 leases", "phase", "1 leases"]);
        assert_eq!(kinds(&teller.messages(vec![map(2, &one)])), ["1 leases"]);
    }

    #[test]
    fn the_version_before_gets_each_task_whole() {
        let (mut teller, one) = (Teller::new(1), phase());
        assert_eq!(kinds(&teller.messages(vec![map(0, &one), map(1, &one)])), ["map", "map"]);
    }
}

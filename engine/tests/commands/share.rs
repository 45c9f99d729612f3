//! Many audits over one fleet: priorities, fair shares, quotas and the queue.

use lethe_common::ids::TaskId;
use lethe_engine::{AuditState, Command, Control, Event, Knobs, Options};

use crate::bench::{Bench, leases, named, reduce, task};

fn by(submitter: &str, priority: i32) -> Options {
    Options { submitter: submitter.to_owned(), priority, ..Options::default() }
}

/// The audits that a list leases for, in order.
fn served(commands: &[Command]) -> String {
    leases(commands).into_iter().map(|(_, task)| task.audit.to_string()).collect()
}

fn of(id: &str, shard: u32) -> TaskId {
    TaskId { audit: named(id), ..task(1, shard, 0) }
}

#[test]
fn a_higher_priority_goes_first_whenever_it_came() {
    let mut bench = Bench::new();
    bench.outlined_as("a", 4, by("ann", 0));
    bench.outlined_as("b", 2, by("ann", 5));
    let all: String = (0..4).map(|i| served(&bench.join(i))).collect();
    assert_eq!(all, "bbaa");
}

#[test]
fn equals_share_evenly_and_a_newcomer_catches_up() {
    let mut bench = Bench::new();
    bench.outlined_as("a", 99, by("ann", 0));
    bench.outlined_as("b", 99, by("ben", 0));
    let all: String = (0..4).map(|i| served(&bench.join(i))).collect();
    assert_eq!(all, "abab");
    bench.outlined_as("c", 99, by("cem", 0));
    let freed: String = [("a", 0, 0), ("b", 1, 0)].map(|(id, w, s)| served(&bench.commit(w, of(id, s)))).concat();
    assert_eq!(freed, "ca", "c has nothing; then all have one, and the older goes first");
}

#[test]
fn one_step_divides_many_workers() {
    let mut bench = Bench::new();
    bench.outlined_as("a", 99, by("ann", 0));
    bench.outlined_as("b", 99, by("ben", 0));
    let profile = lethe_engine::Profile { kind: "cpu".to_owned(), host: String::new(), slots: 2 };
    let join = |i| Event::WorkerJoined { worker: crate::bench::worker(i), profile: profile.clone() };
    let commands = bench.engine.step_many(bench.now, &mut (0..3).map(join).collect());
    assert_eq!(served(&commands), "ababab");
}

fn quota(per_submitter: u32, all: u32) -> Bench {
    let mut bench = Bench::new();
    bench.knobs = Knobs { max_running_per_submitter: per_submitter, max_running: all, ..bench.knobs };
    bench.engine = lethe_engine::Engine::new(lethe_common::ids::Term(1), bench.knobs.clone());
    bench
}

fn positions(bench: &Bench, ids: &str) -> Vec<Option<u32>> {
    ids.chars().map(|id| bench.engine.view(&named(&id.to_string())).expect("is there").queue_position).collect()
}

#[test]
fn a_submitter_waits_for_his_own_audits_and_the_next_in_line_follows_at_once() {
    let mut bench = quota(1, 64);
    for (id, who, priority) in [("a", "ann", 0), ("b", "ann", 0), ("c", "ben", 0), ("d", "ann", 1)] {
        bench.submit_with(id, vec![reduce("plan")], by(who, priority));
    }
    assert_eq!(positions(&bench, "abcd"), [None, Some(2), None, Some(1)], "d has the higher priority");
    let view = bench.engine.view(&named("b")).expect("is there");
    assert_eq!(view.reason, "it waits for its turn, number 2 in the queue");
    let ended = bench.reduce_done_of("a", 0, None);
    assert!(ended.iter().any(|c| matches!(c, Command::StartReduce { audit, .. } if *audit == named("d"))), "{ended:?}");
    assert_eq!(positions(&bench, "abcd"), [None, Some(1), None, None]);
    bench.restore();
    bench.step(Event::Tick);
    assert_eq!(positions(&bench, "abcd"), [None, Some(1), None, None], "what has begun goes on under a new leader");
}

#[test]
fn a_paused_audit_keeps_nobody_waiting() {
    let mut bench = quota(9, 1);
    bench.submit_with("a", vec![reduce("plan")], by("ann", 0));
    bench.submit_with("b", vec![reduce("plan")], by("ben", 0));
    assert_eq!(positions(&bench, "ab"), [None, Some(1)]);
    bench.step(Event::ControlRequested { audit: named("a"), control: Control::Pause, by: String::new() });
    assert_eq!(positions(&bench, "ab"), [None, None]);
    bench.step(Event::ControlRequested { audit: named("b"), control: Control::Cancel, by: String::new() });
    let order: Vec<String> = bench.engine.overview().iter().map(|view| view.audit.to_string()).collect();
    assert_eq!(order, ["a", "b"], "live ones first");
    assert!(matches!(bench.engine.overview()[1].state, AuditState::Cancelled { .. }));
}

//! Whole pages as people see them, on a wide and on a narrow terminal.

use lethe_common::time::Millis;
use lethe_proto::v1::{
    AuditView, ClusterReply, Counts, Knob, Pace, PhaseKind, PhaseView, Quarantined, RunState, TaskId, WorkerView,
};

use super::Page;

const NOW: Millis = Millis(1_795_528_380_000);
const WIDE: Page = Page { now: NOW, columns: Some(120) };
const NARROW: Page = Page { now: NOW, columns: Some(80) };

fn phase(name: &str, kind: PhaseKind, state: RunState, (done, total): (u64, u64)) -> PhaseView {
    PhaseView { name: name.to_owned(), kind: kind.into(), state: state.into(), done, total, ..PhaseView::default() }
}

fn ago(ms: u64) -> u64 {
    NOW.0 - ms
}

/// An audit in the midst of its scoring, with troubles.
fn march() -> AuditView {
    let plan = phase("plan", PhaseKind::Reduce, RunState::Succeeded, (1, 1));
    let score = PhaseView {
        started_ms: ago(120_000),
        counts: Some(Counts { read: 24_000, scored: 23_998, failed: 2 }),
        retries: 3,
        quarantined: 9,
        late: 1,
        checked: 4,
        ..phase("score", PhaseKind::Map, RunState::Running, (1_234, 10_000))
    };
    let suspect = phase("suspect", PhaseKind::Reduce, RunState::Pending, (0, 1));
    let lost = |shard| Quarantined { phase: 1, shard, tries: 3, reason: "the tar is cut short\u{1b}[2J".to_owned() };
    AuditView {
        audit: "march".to_owned(),
        state: RunState::Running.into(),
        phases: vec![
            PhaseView { started_ms: ago(121_200), ended_ms: ago(120_000), ..plan },
            score,
            PhaseView { reason: "waits for score".to_owned(), ..suspect },
        ],
        workers: 4,
        priority: 10,
        submitter: "ann".to_owned(),
        submitted_ms: ago(200_000),
        quarantined: (0..7).map(lost).collect(),
        ..AuditView::default()
    }
}

fn april() -> AuditView {
    AuditView {
        audit: "april".to_owned(),
        state: RunState::Pending.into(),
        reason: "the quota of bob is 1 running audit, and march-of-the-year holds it".to_owned(),
        queue_position: 3,
        submitter: "bob".to_owned(),
        submitted_ms: ago(59_000),
        phases: vec![phase("plan", PhaseKind::Reduce, RunState::Pending, (0, 1))],
        ..AuditView::default()
    }
}

#[test]
fn an_audit_shows_pace_troubles_and_what_was_given_up() {
    assert_eq!(
        super::audit(&march(), WIDE),
        "\
march: running, priority 10, submitted by ann 3 min ago, 4 workers

PHASE    KIND    STATE              DONE               TOOK
plan     reduce  succeeded           1/1  100 %       1.2 s
score    map     running    1,234/10,000   12 %  2 min 00 s
    200 samples/s
    4 shards checked twice, all equal, 3 retries, 9 shards quarantined, 2 samples unreadable, 1 late result dropped
suspect  reduce  pending             0/1
    waits for score

quarantined:
  score shard 0 after 3 tries: the tar is cut short [2J
  score shard 1 after 3 tries: the tar is cut short [2J
  score shard 2 after 3 tries: the tar is cut short [2J
  score shard 3 after 3 tries: the tar is cut short [2J
  score shard 4 after 3 tries: the tar is cut short [2J
  and 4 more: lethe show march --output json
"
    );
}

#[test]
fn a_list_shows_the_queue_and_why_each_waits() {
    assert_eq!(
        super::audits(&[march(), april()], 2, NARROW),
        "\
AUDIT  STATE    PHASE                   DONE        PRIORITY  BY   SUBMITTED
march  running  score (2 of 3)  1,234/10,000  12 %        10  ann  3 min ago
april  pending  plan (1 of 1)            0/1                  bob  59 s ago
    3rd in the queue: the quota of bob is 1 running audit, and march-of-the-year
    holds it

2 more ended; see them with lethe list --all
"
    );
}

#[test]
fn every_state_that_is_not_running_has_a_reason() {
    for state in [RunState::Pending, RunState::Paused, RunState::Failed, RunState::Cancelled] {
        let view = AuditView { state: state.into(), ..march() };
        let view = AuditView { reason: String::new(), phases: view.phases[..1].to_vec(), ..view };
        assert!(super::audit(&view, WIDE).contains("gave no reason"), "{state:?}");
        assert!(super::audits(&[view], 0, WIDE).contains("gave no reason"), "{state:?}");
    }
    let mut failed = AuditView { state: RunState::Failed.into(), ..march() };
    failed.phases[1] = PhaseView { reason: "all workers are gone".to_owned(), ..failed.phases[1].clone() };
    failed.phases[1].set_state(RunState::Failed);
    assert!(super::audits(&[failed], 0, WIDE).contains("    score: all workers are gone\n"));
}

#[test]
fn an_eta_is_shown_while_a_phase_runs() {
    let mut view = march();
    view.phases[1].eta_ms = NOW.0 + 720_000;
    for text in [super::audit(&view, NARROW), super::audits(&[view.clone()], 0, NARROW)] {
        assert!(text.contains("ETA ") && text.contains("(in 12 min)"), "{text}");
    }
    view.phases[1].set_state(RunState::Paused);
    assert!(!super::audit(&view, NARROW).contains("ETA"));
}

#[test]
fn shards_that_differed_are_not_overlooked() {
    let mut view = march();
    view.phases[1].mismatched = 1;
    assert!(super::audit(&view, WIDE).contains("4 shards checked twice, 1 DIFFERED"));
}

#[test]
fn workers_show_what_they_do_or_why_they_do_nothing() {
    let busy = WorkerView {
        worker: "w-0".to_owned(),
        host: "node-1".to_owned(),
        device: "cuda:0".to_owned(),
        memory_bytes: 79_600_000_000,
        release: "0.1.0".to_owned(),
        slots: 16,
        tasks: vec![TaskId::default(); 3],
        state: "busy".to_owned(),
        since_ms: ago(200_000),
        committed: 1_204,
        pace: Some(Pace { samples: 24_000, tasks_ms: 192_000, waited_ms: 7_680 }),
        ..WorkerView::default()
    };
    let lost = WorkerView {
        worker: "w-1".to_owned(),
        device: "cpu".to_owned(),
        state: "lost".to_owned(),
        reason: "no sign of life for 2.0 s".to_owned(),
        since_ms: ago(4_000),
        failed: 2,
        ..WorkerView::default()
    };
    assert_eq!(
        super::workers(&[busy, lost], NARROW),
        "\
WORKER  STATE  SINCE      DEVICE   MEMORY  TASKS  COMMITTED  FAILED  RELEASE  HOST
w-0     busy   3 min ago  cuda:0  79.6 GB   3/16      1,204          0.1.0    node-1
    125.0 samples/s in its map tasks; device busy 96 %, waiting for samples 4 %
w-1     lost   4 s ago    cpu                0/1          0       2
    no sign of life for 2.0 s
"
    );
}

#[test]
fn a_cluster_shows_its_waits_in_ascending_order() {
    let knob = |name: &str, ms| Knob { name: name.to_owned(), ms };
    let cluster = ClusterReply {
        term: 7,
        leader: "http://10.0.0.1:4040".to_owned(),
        release: "0.1.0".to_owned(),
        store: "etcd, 3 members".to_owned(),
        knobs: vec![knob("a worker is lost", 2_000), knob("heartbeat", 1_000), knob("lease", 60_000)],
    };
    assert_eq!(
        super::cluster(&cluster),
        "\
leader   http://10.0.0.1:4040
term     7
release  0.1.0
store    etcd, 3 members

WAIT                    TIME
heartbeat              1.0 s
a worker is lost       2.0 s
lease             1 min 00 s
"
    );
}

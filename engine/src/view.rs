//! What a person is shown of an audit: derived from the durable state and the leases, never stored.

use lethe_common::blob::{BlobRef, NamedBlob};
use lethe_common::ids::{AuditId, PhaseIndex, ShardId, TaskId, WorkerId};
use lethe_common::time::Millis;

use crate::audit::Audit;
use crate::engine::Engine;
use crate::event::Counts;
use crate::gang_size::Presence;
use crate::ledger::{Ledger, Stage};
use crate::member::Member;
use crate::plan::PhaseKind;
use crate::record::{AuditState, Conclusion, Control, Deed, Fate, PhaseState, Tally, What};
use crate::workers::Workers;

/// Quarantined shards that one view lists.
const MAX_QUARANTINED: usize = 100;

/// Why the last phase does not begin.
const APPROVAL: &str = "it waits for a person: `lethe fetch` brings its report, `lethe approve` lets it deliver";

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditView {
    pub audit: AuditId,
    pub state: AuditState,
    pub paused: Option<Millis>,
    /// Why none of it runs, where none does.
    pub reason: String,
    pub phases: Vec<PhaseView>,
    pub workers: u32,
    pub submitter: String,
    pub priority: i32,
    pub submitted: Millis,
    /// From 1 while it waits for its turn.
    pub queue_position: Option<u32>,
    /// The audit whose results it began with.
    pub rerun_of: Option<AuditId>,
    pub quarantined: Vec<QuarantineView>,
    /// Whether a person has to approve its result and nobody has; and whether that is what it waits for.
    pub unapproved: bool,
    pub awaits_approval: bool,
    /// What it came to, once it is known; before it has ended where a person has to approve.
    pub conclusion: Option<Conclusion>,
    pub deeds: Vec<Deed>,
    /// What people said of its suspects.
    pub marks: Option<BlobRef>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhaseView {
    pub name: String,
    pub kind: &'static str,
    pub state: PhaseState,
    pub started: Option<Millis>,
    /// Committed tasks of all; a reduce or gang counts as one.
    pub done: u64,
    pub total: u64,
    pub retries: u64,
    pub counts: Counts,
    /// Why nothing of it runs, where nothing does, such as "1 of 2 workers joined".
    pub reason: String,
    /// What a reduce or gang gave.
    pub outputs: Vec<NamedBlob>,
    pub eta: Option<Millis>,
    pub quarantined: u64,
    pub tally: Tally,
    pub notes: Vec<String>,
}

/// A shard that was given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuarantineView {
    pub phase: PhaseIndex,
    pub shard: ShardId,
    pub tries: u32,
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerView {
    pub worker: WorkerId,
    pub slots: u32,
    /// The running one first.
    pub tasks: Vec<TaskId>,
    /// "idle", "busy", "stopping", "resting" or "draining".
    pub state: &'static str,
    pub reason: String,
    pub joined: Millis,
    pub committed: u64,
    pub failed: u64,
}

impl Engine {
    /// What a person is shown of an audit.
    pub fn view(&self, id: &AuditId) -> Option<AuditView> {
        self.view_among(id, &self.queued())
    }

    fn view_among(&self, id: &AuditId, queued: &[AuditId]) -> Option<AuditView> {
        let audit = self.audits.get(id)?;
        let place = match audit.ledger.has_begun() || !audit.ledger.is_live() {
            true => None,
            false => queued.iter().position(|queued| queued == id).map(|place| place as u32 + 1),
        };
        Some(audit_view(audit, &self.scene(), place))
    }

    fn scene(&self) -> Scene<'_> {
        let (workers, shrink_ms) = (&self.workers, self.knobs.shrink_ms);
        Scene { workers, here: Presence { now: self.now, joined: workers.joined(), shrink_ms } }
    }

    /// All audits, those that have not ended first, as they get their turn.
    pub fn overview(&self) -> Vec<AuditView> {
        let queued = self.queued();
        let mut views: Vec<AuditView> = self.audits.keys().filter_map(|id| self.view_among(id, &queued)).collect();
        views.sort_by_key(|view| {
            let live = view.state == AuditState::Running;
            let ended = self.audits[&view.audit].ledger.ended().unwrap_or_default();
            (!live, std::cmp::Reverse(ended), view.queue_position, std::cmp::Reverse(view.priority), view.submitted)
        });
        views
    }

    /// Every worker that has joined, in the order of their names.
    pub fn worker_views(&self) -> Vec<WorkerView> {
        self.workers.all().map(|(worker, member)| worker_view(worker, member)).collect()
    }
}

/// What reasons depend on beside the audit itself.
struct Scene<'a> {
    workers: &'a Workers,
    here: Presence,
}

fn worker_view(worker: &WorkerId, member: &Member) -> WorkerView {
    let tasks: Vec<TaskId> = member.live().cloned().collect();
    let (state, reason) = match (&member.draining, member.rests_until) {
        (Some(why), _) => ("draining", why.clone()),
        (None, Some(_)) => ("resting", format!("its tasks fail, the last: {}", member.last_fault)),
        (None, None) if !tasks.is_empty() => ("busy", String::new()),
        (None, None) if !member.held.is_empty() => ("stopping", "it was told to stop its task".to_owned()),
        (None, None) => ("idle", String::new()),
    };
    WorkerView {
        worker: worker.clone(),
        slots: member.profile.slots,
        tasks,
        state,
        reason,
        joined: member.joined,
        committed: member.committed,
        failed: member.failed,
    }
}

fn cancelled_by(deeds: &[Deed]) -> String {
    let cancelled = deeds.iter().rev().find(|deed| deed.what == What::Controlled(Control::Cancel));
    cancelled
        .filter(|deed| !deed.by.is_empty())
        .map_or_else(|| "by request".to_owned(), |deed| format!("by {}", deed.by))
}

fn audit_view(audit: &Audit, scene: &Scene<'_>, queue_position: Option<u32>) -> AuditView {
    let ledger = &audit.ledger;
    let phases: Vec<_> =
        (0..ledger.phases.len() as u32).map(|i| phase_view(audit, scene, (PhaseIndex(i), queue_position))).collect();
    let record = &ledger.audit;
    let awaits_approval = ledger.awaits_approval();
    let reason = match (&record.state, record.paused, queue_position) {
        (AuditState::Failed { reason, .. }, _, _) => reason.clone(),
        (AuditState::Running, Some(_), _) => "it is paused; `lethe resume` lets it go on".to_owned(),
        (AuditState::Running, None, _) if awaits_approval => APPROVAL.to_owned(),
        (AuditState::Running, None, Some(place)) => format!("it waits for its turn, number {place} in the queue"),
        (AuditState::Running, None, None) => phases
            .iter()
            .find(|phase| phase.state == PhaseState::Running)
            .map_or_else(String::new, |p| p.reason.clone()),
        (AuditState::Cancelled { .. }, _, _) => cancelled_by(&record.deeds),
        (AuditState::Succeeded { .. }, _, _) => String::new(),
    };
    AuditView {
        audit: ledger.id.clone(),
        state: record.state.clone(),
        paused: record.paused,
        reason,
        phases,
        workers: scene.here.joined as u32,
        submitter: record.options.submitter.clone(),
        priority: record.options.priority,
        submitted: record.submitted,
        queue_position,
        rerun_of: record.inherited.last().cloned(),
        quarantined: quarantined(ledger),
        unapproved: ledger.is_unapproved(),
        awaits_approval,
        conclusion: ledger.conclusion().cloned(),
        deeds: record.deeds.clone(),
        marks: record.marks.clone(),
    }
}

fn quarantined(ledger: &Ledger) -> Vec<QuarantineView> {
    let spoiled = ledger.results.iter().filter(|results| results.quarantined > 0);
    let all = spoiled.flat_map(|results| {
        results.fates().filter_map(|(shard, fate)| match fate {
            Fate::Done(_) => None,
            Fate::Quarantined { tries, reason } => {
                Some(QuarantineView { phase: results.phase, shard, tries: *tries, reason: reason.clone() })
            }
        })
    });
    all.take(MAX_QUARANTINED).collect()
}

fn phase_view(audit: &Audit, scene: &Scene<'_>, (phase, queued): (PhaseIndex, Option<u32>)) -> PhaseView {
    let ledger = &audit.ledger;
    let (spec, record) = (ledger.spec(phase), ledger.phase(phase));
    let (done, total) = tally(ledger, phase);
    let running = record.state == PhaseState::Running;
    PhaseView {
        name: spec.name.clone(),
        kind: match spec.kind {
            PhaseKind::Map { .. } => "map",
            PhaseKind::Reduce { .. } => "reduce",
            PhaseKind::Gang { .. } => "gang",
        },
        state: record.state.clone(),
        started: record.started,
        done,
        total,
        retries: record.retries,
        counts: ledger.counts(phase),
        reason: reason(audit, scene, (phase, queued)),
        outputs: record.outputs.clone(),
        eta: if running { audit.eta() } else { None },
        quarantined: ledger.results(phase).quarantined,
        tally: record.tally,
        notes: record.notes.iter().cloned().chain(running.then(|| audit.notes()).into_iter().flatten()).collect(),
    }
}

/// Committed tasks, and all of them; of a map no outline sized yet, all is 0.
fn tally(ledger: &Ledger, phase: PhaseIndex) -> (u64, u64) {
    let is_done = ledger.phase(phase).is_done();
    match ledger.spec(phase).kind {
        PhaseKind::Reduce { .. } | PhaseKind::Gang { .. } => (u64::from(is_done), 1),
        PhaseKind::Map { .. } => (ledger.results(phase).done, ledger.expected(phase)),
    }
}

fn reason(audit: &Audit, scene: &Scene<'_>, (phase, queued): (PhaseIndex, Option<u32>)) -> String {
    let ledger = &audit.ledger;
    match &ledger.phase(phase).state {
        PhaseState::Waiting => match ledger.stage() {
            Stage::In(first) if first == phase && ledger.awaits_approval() => APPROVAL.to_owned(),
            Stage::In(first) if first == phase => match queued {
                Some(place) => format!("waits for its turn, number {place} in the queue"),
                None => "about to start".to_owned(),
            },
            Stage::In(running) => format!("waiting for phase {}", ledger.spec(running).name),
            Stage::PastLast | Stage::Ended => "the audit ended before it".to_owned(),
        },
        PhaseState::Running if ledger.audit.paused.is_some() => "the audit is paused".to_owned(),
        PhaseState::Running => audit.reason(scene.workers, &scene.here),
        PhaseState::Done { .. } => String::new(),
        PhaseState::Failed { reason, .. } => reason.clone(),
    }
}

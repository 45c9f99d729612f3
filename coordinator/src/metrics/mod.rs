//! What a coordinator counts, under the names that docs/telemetry.md lists.
//!
//! It must never have a label that grows with what is audited: no audit, shard or worker is one. Phases are those of
//! the plans' tables; every other label is one of a few words of ours. What is counted must not change a decision.

mod accounts;
mod census;
mod driven;
mod serve;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lethe_common::fault::FaultKind;
use lethe_evidence::artifacts::Verdict;
use lethe_telemetry::Process;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub(crate) use accounts::{Accounts, span_of_audit};
pub use census::Census;
pub(crate) use serve::serve;

use crate::store::{Maintained, Outcome};

type Word = [(&'static str, &'static str); 1];
type ByWord = Family<Word, Counter>;
type Name = [(&'static str, String); 1];
type ByPhase = Family<Name, Counter>;
type Seconds = Gauge<f64, AtomicU64>;

/// From a batch on a fast disk to an etcd that is about to be called away.
const STORE_BUCKETS: [f64; 13] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// From an empty store to a million shards.
const RESTORE_BUCKETS: [f64; 8] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0];
/// From a reduce to a scoring that takes days.
const PHASE_BUCKETS: [f64; 11] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0, 43_200.0, 86_400.0, 259_200.0];

/// A clone counts into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    leading: Gauge,
    term: Gauge,
    elections_won: Counter,
    reigns_lost: ByWord,
    restore: Histogram,
    commits_to_store: ByWord,
    commit_to_store: Histogram,
    store_heard: Seconds,
    store_size: Gauge,
    store_used: Gauge,
    store_quota: Gauge,
    audits: Family<Word, Gauge>,
    audits_submitted: Counter,
    audits_ended: ByWord,
    verdicts: ByWord,
    tasks_waiting: Family<Name, Gauge>,
    tasks_leased: Family<Name, Gauge>,
    workers: Family<Word, Gauge>,
    workers_joined: Counter,
    workers_lost: Counter,
    workers_stopped: Counter,
    leases: ByWord,
    commits: ByWord,
    faults: ByWord,
    retries: ByPhase,
    shards_done: ByPhase,
    samples: ByPhase,
    quarantined: ByPhase,
    speculated: Counter,
    late: Counter,
    checked: Counter,
    mismatched: Counter,
    strikes: Counter,
    phase: Family<Name, Histogram, fn() -> Histogram>,
    backlog: Gauge,
    stalled: Counter<f64, AtomicU64>,
}

impl Default for Metrics {
    fn default() -> Self {
        let unregistered = Self {
            registry: Arc::default(),
            leading: Gauge::default(),
            term: Gauge::default(),
            elections_won: Counter::default(),
            reigns_lost: words("reason", &["deposed", "failed"]),
            restore: Histogram::new(RESTORE_BUCKETS),
            commits_to_store: words("outcome", &["applied", "conflict", "refused", "unknown"]),
            commit_to_store: Histogram::new(STORE_BUCKETS),
            store_heard: Seconds::default(),
            store_size: Gauge::default(),
            store_used: Gauge::default(),
            store_quota: Gauge::default(),
            audits: Family::default(),
            audits_submitted: Counter::default(),
            audits_ended: words("state", &["succeeded", "failed", "cancelled"]),
            verdicts: words("verdict", &Verdict::ALL.map(Verdict::as_str)),
            tasks_waiting: Family::default(),
            tasks_leased: Family::default(),
            workers: Family::default(),
            workers_joined: Counter::default(),
            workers_lost: Counter::default(),
            workers_stopped: Counter::default(),
            leases: ByWord::default(),
            commits: words("outcome", &["applied", "provisional", "refused", "stale"]),
            faults: words("kind", &FaultKind::ALL.map(FaultKind::as_str)),
            retries: ByPhase::default(),
            shards_done: ByPhase::default(),
            samples: ByPhase::default(),
            quarantined: ByPhase::default(),
            speculated: Counter::default(),
            late: Counter::default(),
            checked: Counter::default(),
            mismatched: Counter::default(),
            strikes: Counter::default(),
            phase: Family::new_with_constructor(|| Histogram::new(PHASE_BUCKETS)),
            backlog: Gauge::default(),
            stalled: Counter::default(),
        };
        unregistered.take_census(&Census::default());
        Self { registry: Arc::new(unregistered.registered()), ..unregistered }
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process::default()));
        let own = all.sub_registry_with_prefix("lethe");
        let build = Family::<Word, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        own.register("build_info", "The release that runs, as a label", build);
        own.register("leading", "1 while this coordinator leads, else 0", self.leading.clone());
        own.register("term", "The term that this coordinator led last", self.term.clone());
        own.register("elections_won", "Times that this coordinator was elected", self.elections_won.clone());
        own.register("reigns_lost", "Reigns that ended before a shutdown", self.reigns_lost.clone());
        let help = "From an election to the engine's being rebuilt from the store";
        own.register_with_unit("restore", help, Unit::Seconds, self.restore.clone());
        own.register("audits_submitted", "Audits that were taken, re-runs among them", self.audits_submitted.clone());
        own.register("audits_ended", "Audits that ended, by how", self.audits_ended.clone());
        own.register("verdicts", "Reports written, by what they say", self.verdicts.clone());
        own.register("audits", "Audits that have not ended, by their state", self.audits.clone());
        let help = "Tasks of running phases that no worker holds and that are not done";
        own.register("tasks_waiting", help, self.tasks_waiting.clone());
        own.register("tasks_leased", "Tasks that workers hold", self.tasks_leased.clone());
        own.register("leases", "Tasks handed to workers, by their program", self.leases.clone());
        own.register("commits", "Results that workers brought, by what became of them", self.commits.clone());
        own.register("task_faults", "Faults that workers and reduces reported", self.faults.clone());
        own.register("task_retries", "Tries that ended in a fault or a loss", self.retries.clone());
        own.register("shards_done", "Shards with a committed result", self.shards_done.clone());
        own.register("samples", "Samples read for committed results", self.samples.clone());
        own.register("shards_quarantined", "Shards that were given up", self.quarantined.clone());
        own.register("shards_speculated", "Second copies leased of slow shards", self.speculated.clone());
        own.register("results_late", "Results dropped since another was first", self.late.clone());
        own.register("shards_checked", "Shards that two workers computed and that were compared", self.checked.clone());
        own.register(
            "shards_mismatched",
            "Shards of which two workers gave different results",
            self.mismatched.clone(),
        );
        own.register("gang_strikes", "Generations of gangs that ended by a fault or a loss", self.strikes.clone());
        own.register_with_unit("phase", "From a phase's begin to its end", Unit::Seconds, self.phase.clone());
        self.register_workers_and_driver(own);
        self.register_store(all.sub_registry_with_prefix("lethe_store"));
        all
    }

    fn register_workers_and_driver(&self, own: &mut Registry) {
        own.register("workers", "Workers with a session, by their state", self.workers.clone());
        own.register("workers_joined", "Sessions that workers opened", self.workers_joined.clone());
        own.register(
            "workers_lost",
            "Workers that were given up, and had not said that they go",
            self.workers_lost.clone(),
        );
        own.register("workers_stopped", "Workers that said that they go, and went", self.workers_stopped.clone());
        own.register("driver_backlog_events", "Events that wait for the store", self.backlog.clone());
        let help = "Time in which the store or the process stood still for longer than a heartbeat";
        own.register_with_unit("driver_stalled", help, Unit::Seconds, self.stalled.clone());
    }

    fn register_store(&self, store: &mut Registry) {
        store.register("commits", "Tries of writing a batch, by how they ended", self.commits_to_store.clone());
        store.register_with_unit("commit", "One try of writing a batch", Unit::Seconds, self.commit_to_store.clone());
        let help = "When the store last answered this coordinator, since the epoch; 0 before the first time";
        store.register_with_unit("last_heard_timestamp", help, Unit::Seconds, self.store_heard.clone());
        let help = "The store's file or its largest member's database; 0 until its first upkeep of a reign";
        store.register_with_unit("size", help, Unit::Bytes, self.store_size.clone());
        store.register_with_unit("used", "What of it holds data", Unit::Bytes, self.store_used.clone());
        let help = "What the store may grow to; 0 where it does not tell";
        store.register_with_unit("quota", help, Unit::Bytes, self.store_quota.clone());
    }

    /// Every metric as Prometheus reads it.
    pub fn text(&self) -> String {
        lethe_telemetry::text(&self.registry)
    }

    pub(crate) fn leads(&self, term: u64, restored_in: Duration) {
        self.term.set(term as i64);
        self.leading.set(1);
        self.elections_won.inc();
        self.restore.observe(restored_in.as_secs_f64());
    }

    pub(crate) fn leads_no_more(&self) {
        self.leading.set(0);
        self.backlog.set(0);
    }

    pub(crate) fn lost_reign(&self, reason: &'static str) {
        self.reigns_lost.get_or_create(&[("reason", reason)]).inc();
    }

    pub(crate) fn wrote(&self, outcome: &Outcome, took: Duration) {
        let word = match outcome {
            Outcome::Applied => "applied",
            Outcome::Conflict { .. } => "conflict",
            Outcome::Refused(_) => "refused",
            Outcome::Unknown(_) => "unknown",
        };
        self.commits_to_store.get_or_create(&[("outcome", word)]).inc();
        self.commit_to_store.observe(took.as_secs_f64());
        match outcome {
            Outcome::Applied | Outcome::Conflict { .. } => self.heard_store(),
            Outcome::Refused(_) | Outcome::Unknown(_) => {}
        }
    }

    pub(crate) fn heard_store(&self) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.store_heard.set(now.as_secs_f64());
    }

    pub(crate) fn maintained(&self, maintained: &Maintained) {
        let Maintained { size_bytes, used_bytes, quota_bytes, compacted: _ } = maintained;
        self.store_size.set(*size_bytes as i64);
        self.store_used.set(*used_bytes as i64);
        self.store_quota.set(quota_bytes.unwrap_or(0) as i64);
    }
}

/// A counter that shows every word from the start, so that none is missing until it happens.
fn words(label: &'static str, words: &[&'static str]) -> ByWord {
    let family = ByWord::default();
    for word in words {
        drop(family.get_or_create(&[(label, *word)]));
    }
    family
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coordinator_that_has_done_nothing_shows_every_metric() {
        let text = Metrics::default().text();
        for line in [
            "lethe_leading 0",
            "lethe_commits_total{outcome=\"stale\"} 0",
            "lethe_store_commits_total{outcome=\"unknown\"} 0",
            "lethe_audits{state=\"queued\"} 0",
            "lethe_store_commit_seconds_count 0",
            "# UNIT lethe_store_size_bytes bytes",
        ] {
            assert!(text.lines().any(|l| l == line), "{line:?} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"), "{text}");
    }

    #[test]
    fn a_store_that_does_not_answer_is_counted_and_not_heard() {
        let metrics = Metrics::default();
        let away = crate::store::StoreError::Batch { reason: "any error will do".to_owned() };
        metrics.wrote(&Outcome::Unknown(away), Duration::from_millis(30));
        assert!(metrics.text().contains("lethe_store_commits_total{outcome=\"unknown\"} 1"));
        assert!(metrics.text().contains("lethe_store_last_heard_timestamp_seconds 0.0"), "{}", metrics.text());
        metrics.wrote(&Outcome::Applied, Duration::from_millis(3));
        assert!(!metrics.text().contains("lethe_store_last_heard_timestamp_seconds 0.0"));
    }
}

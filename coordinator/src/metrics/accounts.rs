//! What became durable, by the records that were written: retries, shards and samples by phase, and the spans of what ended.
//!
//! It must never count a record twice: a new leader begins with what its store holds, and counts what is added. What it
//! tells of an audit's time follows from the records, so that the span of an audit that several leaders served is whole.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_common::time::Millis;
use lethe_engine::{AuditRecord, AuditState, Change, Fate, PhaseRecord, PhaseState, Record, SegmentRecord, Tally};
use lethe_evidence::artifacts::Verdict;
use lethe_telemetry::Trace;
use lethe_telemetry::spans::{Ended, Spans};

use super::Metrics;

#[derive(Debug)]
pub(crate) struct Accounts {
    metrics: Metrics,
    spans: Spans,
    /// All that are kept.
    audits: BTreeMap<AuditId, Known>,
}

#[derive(Debug)]
struct Known {
    /// The phases' names.
    names: Vec<String>,
    /// Where the audit belongs, as its submitter said.
    trace: Option<Trace>,
    has_ended: bool,
    /// So many phases a re-run took over: they were counted as another audit's.
    inherited: usize,
    phases: BTreeMap<PhaseIndex, Seen>,
}

/// Where a record comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// Written before this reign: known, and not counted.
    Store,
    /// Written now.
    Batch,
}

/// What was counted of a phase.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    retries: u64,
    tally: Tally,
    has_ended: bool,
    /// The last segment and how many of its entries: those before it change no more.
    segment: u32,
    entries: usize,
}

/// An audit's own span.
pub(crate) fn span_of_audit(trace: Trace, audit: &AuditId) -> Trace {
    trace.named(audit.as_str())
}

/// A phase's, which its tasks' lie within.
pub(crate) fn span_of_phase(trace: Trace, audit: &AuditId, phase: PhaseIndex) -> Trace {
    trace.named(&format!("{audit}/{phase}"))
}

impl Accounts {
    /// As the store has it: nothing of it is counted.
    pub fn of(records: &[Record], metrics: Metrics, spans: Spans) -> Self {
        let mut accounts = Self { metrics, spans, audits: BTreeMap::new() };
        for record in records {
            accounts.put(record, Source::Store);
        }
        accounts
    }

    /// What a lease's receiver puts its own spans under.
    pub fn trace(&self, audit: &AuditId, phase: PhaseIndex) -> Option<Trace> {
        let trace = self.audits.get(audit)?.trace?;
        Some(span_of_phase(trace, audit, phase))
    }

    /// Counts what is durable now.
    pub fn take(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Put(record) => self.put(record, Source::Batch),
                Change::Forget(audit) => drop(self.audits.remove(audit)),
            }
        }
    }

    fn put(&mut self, record: &Record, source: Source) {
        match record {
            Record::Audit(audit, record) => self.put_audit(audit, record, source),
            Record::Phase(audit, phase, record) => self.put_phase((audit, *phase), record, source),
            Record::Segment(audit, phase, number, record) => {
                self.put_segment((audit, *phase), (*number, record), source);
            }
        }
    }

    fn put_audit(&mut self, audit: &AuditId, record: &AuditRecord, source: Source) {
        let is_new = !self.audits.contains_key(audit);
        let known = self.audits.entry(audit.clone()).or_insert_with(|| Known::new(record));
        let has_ended = record.state != AuditState::Running;
        let ends = has_ended && !std::mem::replace(&mut known.has_ended, has_ended);
        if is_new {
            known.names.iter().for_each(|name| self.metrics.show_phase(name));
        }
        if source == Source::Store {
            return;
        }
        if is_new {
            self.metrics.audits_submitted.inc();
        }
        if ends {
            self.metrics.audit_ended(&record.state);
            let trace = known.trace.filter(|_| self.spans.are_told());
            trace.into_iter().for_each(|trace| self.spans.tell(whole_audit(trace, audit, record)));
        }
    }

    fn put_phase(&mut self, (audit, phase): (&AuditId, PhaseIndex), record: &PhaseRecord, source: Source) {
        let Some(known) = self.audits.get_mut(audit) else { return };
        let (name, trace) = (known.name(phase), known.trace);
        let is_inherited = (phase.0 as usize) < known.inherited;
        let seen = known.phases.entry(phase).or_default();
        let end = match &record.state {
            PhaseState::Waiting | PhaseState::Running => None,
            PhaseState::Done { at } => Some((*at, None)),
            PhaseState::Failed { at, reason: _ } => Some((*at, Some("failed"))),
        };
        let before = std::mem::replace(
            seen,
            Seen { retries: record.retries, tally: record.tally, has_ended: end.is_some(), ..*seen },
        );
        if source == Source::Store || is_inherited {
            return;
        }
        self.metrics.phase_went_on(&name, (&before, seen));
        let (Some((at, failed)), Some(started), false) = (end, record.started, before.has_ended) else { return };
        if let Some(verdict) = record.conclusion.as_ref().and_then(|said| Verdict::parse(&said.verdict)) {
            self.metrics.verdicts.get_or_create(&[("verdict", verdict.as_str())]).inc();
        }
        self.metrics.phase.get_or_create(&[("phase", name.clone())]).observe(at.since_ms(started) as f64 / 1e3);
        if let Some(trace) = trace.filter(|_| self.spans.are_told()) {
            self.spans.tell(whole_phase(trace, (audit, phase, name), (started, at, failed)));
        }
    }

    fn put_segment(
        &mut self,
        (audit, phase): (&AuditId, PhaseIndex),
        (number, record): (u32, &SegmentRecord),
        source: Source,
    ) {
        let Some(known) = self.audits.get_mut(audit) else { return };
        let label = [("phase", known.name(phase))];
        let seen = known.phases.entry(phase).or_default();
        let counted = if number == seen.segment { seen.entries } else { 0 };
        if number >= seen.segment {
            (seen.segment, seen.entries) = (number, record.entries.len());
        }
        if source == Source::Store {
            return;
        }
        for (_, fate) in record.entries.iter().skip(counted) {
            match fate {
                Fate::Done(result) => {
                    self.metrics.shards_done.get_or_create(&label).inc();
                    self.metrics.samples.get_or_create(&label).inc_by(result.counts.read);
                }
                Fate::Quarantined { .. } => drop(self.metrics.quarantined.get_or_create(&label).inc()),
            }
        }
    }
}

impl Known {
    fn new(record: &AuditRecord) -> Self {
        let names = record.plan.phases.iter().map(|phase| phase.name.clone()).collect();
        let trace = record.options.traceparent.as_deref().and_then(|text| text.parse().ok());
        Self { names, trace, has_ended: false, inherited: record.inherited.len(), phases: BTreeMap::new() }
    }

    fn name(&self, phase: PhaseIndex) -> String {
        self.names.get(phase.0 as usize).cloned().unwrap_or_default()
    }
}

impl Metrics {
    /// Shows the phase's counters from when it is known, so that the first thing to happen in it is seen as a change.
    fn show_phase(&self, name: &str) {
        let label = [("phase", name.to_owned())];
        for counter in [&self.retries, &self.shards_done, &self.samples, &self.quarantined] {
            drop(counter.get_or_create(&label));
        }
    }

    fn phase_went_on(&self, name: &str, (before, now): (&Seen, &Seen)) {
        let retries = now.retries.saturating_sub(before.retries);
        self.retries.get_or_create(&[("phase", name.to_owned())]).inc_by(retries);
        for (counter, of) in [
            (&self.strikes, (|tally| tally.strikes) as fn(&Tally) -> u64),
            (&self.late, |tally| tally.late),
            (&self.speculated, |tally| tally.speculated),
            (&self.checked, |tally| tally.checked),
            (&self.mismatched, |tally| tally.mismatched),
        ] {
            counter.inc_by(of(&now.tally).saturating_sub(of(&before.tally)));
        }
    }
}

fn whole_audit(trace: Trace, audit: &AuditId, record: &AuditRecord) -> Ended {
    let at = span_of_audit(trace, audit);
    let (ended, failed) = match &record.state {
        AuditState::Running => (record.submitted, None),
        AuditState::Succeeded { at } => (*at, None),
        AuditState::Failed { at, reason: _ } => (*at, Some("failed")),
        AuditState::Cancelled { at } => (*at, Some("cancelled")),
    };
    Ended {
        at,
        within: Some(trace).filter(|parent| *parent != at),
        name: "audit".into(),
        began: moment(record.submitted),
        ended: moment(ended),
        facts: vec![("lethe.audit", audit.as_str().into())],
        failed,
        is_call: false,
    }
}

fn whole_phase(
    trace: Trace,
    (audit, phase, name): (&AuditId, PhaseIndex, String),
    (started, at, failed): (Millis, Millis, Option<&'static str>),
) -> Ended {
    Ended {
        at: span_of_phase(trace, audit, phase),
        within: Some(span_of_audit(trace, audit)),
        name: name.into(),
        began: moment(started),
        ended: moment(at),
        facts: vec![("lethe.audit", audit.as_str().into()), ("lethe.phase", phase.0.into())],
        failed,
        is_call: false,
    }
}

fn moment(at: Millis) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(at.0)
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::{Attempt, ShardId, Term};
    use lethe_engine::{Conclusion, Counts, Options, PhaseKind, PhaseSpec, Plan, ShardResult};

    use super::*;

    fn audit() -> AuditId {
        AuditId::new("march").expect("is an id")
    }

    fn submitted() -> Record {
        submitted_and(AuditState::Running)
    }

    fn submitted_and(state: AuditState) -> Record {
        let kind = PhaseKind::Map { program: "score".to_owned() };
        let plan = Plan { phases: vec![PhaseSpec { name: "score".to_owned(), kind, inputs: Vec::new() }] };
        let record = AuditRecord::submitted(plan, String::new(), Options::default(), Millis(1));
        Record::Audit(audit(), AuditRecord { state, ..record })
    }

    fn phase(retries: u64, state: PhaseState) -> Record {
        let record = PhaseRecord { retries, state, started: Some(Millis(1_000)), ..PhaseRecord::waiting() };
        Record::Phase(audit(), PhaseIndex(0), record)
    }

    fn segment(number: u32, done: u32, quarantined: u32) -> Record {
        let attempt = Attempt { term: Term(1), counter: 0 };
        let counts = Counts { read: 10, scored: 10, failed: 0 };
        let result = || Fate::Done(ShardResult { attempt, outputs: Box::new([]), counts });
        let lost = || Fate::Quarantined { tries: 5, reason: "torn".to_owned() };
        let fates = (0..done).map(|_| result()).chain((0..quarantined).map(|_| lost()));
        let entries = fates.enumerate().map(|(n, fate)| (ShardId(number * 100 + n as u32), fate)).collect();
        Record::Segment(audit(), PhaseIndex(0), number, SegmentRecord { entries })
    }

    fn take(accounts: &mut Accounts, record: Record) {
        accounts.take(&[Change::Put(record)]);
    }

    fn accounts(stored: &[Record]) -> (Accounts, Metrics) {
        let metrics = Metrics::default();
        (Accounts::of(stored, metrics.clone(), Spans::off()), metrics)
    }

    fn shows(metrics: &Metrics, lines: &[&str]) {
        let text = metrics.text();
        for line in lines {
            assert!(text.lines().any(|l| l == *line), "{line:?} is not in\n{text}");
        }
    }

    #[test]
    fn what_is_written_again_is_counted_once() {
        let (mut accounts, metrics) = accounts(&[]);
        take(&mut accounts, submitted());
        for record in [segment(0, 2, 0), segment(0, 3, 0), segment(1, 1, 1), segment(1, 1, 1)] {
            take(&mut accounts, record);
        }
        for record in [phase(1, PhaseState::Running), phase(3, PhaseState::Done { at: Millis(3_000) })] {
            take(&mut accounts, record);
        }
        take(&mut accounts, phase(3, PhaseState::Done { at: Millis(3_000) }));
        for _ in 0..2 {
            take(&mut accounts, submitted_and(AuditState::Succeeded { at: Millis(4_000) }));
        }
        shows(
            &metrics,
            &[
                "lethe_audits_submitted_total 1",
                "lethe_audits_ended_total{state=\"succeeded\"} 1",
                "lethe_shards_done_total{phase=\"score\"} 4",
                "lethe_samples_total{phase=\"score\"} 40",
                "lethe_shards_quarantined_total{phase=\"score\"} 1",
                "lethe_task_retries_total{phase=\"score\"} 3",
                "lethe_phase_seconds_sum{phase=\"score\"} 2.0",
                "lethe_phase_seconds_count{phase=\"score\"} 1",
            ],
        );
    }

    #[test]
    fn a_verdict_is_counted_where_it_was_reached() {
        let of = |inherited: &[AuditId]| {
            let Record::Audit(id, record) = submitted() else { unreachable!("is an audit's") };
            Record::Audit(id, AuditRecord { inherited: inherited.to_vec(), ..record })
        };
        let Record::Phase(id, index, done) = phase(4, PhaseState::Done { at: Millis(3_000) }) else {
            unreachable!("is a phase's")
        };
        let (verdict, headline) = ("rejected".to_owned(), "Backdoor found, but not removed".to_owned());
        let said = Record::Phase(id, index, PhaseRecord { conclusion: Some(Conclusion { verdict, headline }), ..done });
        for (inherited, counted) in [(vec![], 1), (vec![audit()], 0)] {
            let (mut accounts, metrics) = accounts(&[]);
            shows(&metrics, &["lethe_verdicts_total{verdict=\"rejected\"} 0"]);
            take(&mut accounts, of(&inherited));
            take(&mut accounts, said.clone());
            let verdict = format!("lethe_verdicts_total{{verdict=\"rejected\"}} {counted}");
            let retries = format!("lethe_task_retries_total{{phase=\"score\"}} {}", 4 * counted);
            shows(&metrics, &[&verdict, &retries]);
        }
    }

    #[test]
    fn a_new_leader_counts_only_what_it_adds() {
        let stored = [submitted(), phase(2, PhaseState::Running), segment(0, 3, 0)];
        let (mut accounts, metrics) = accounts(&stored);
        take(&mut accounts, segment(0, 4, 0));
        take(&mut accounts, phase(2, PhaseState::Running));
        take(&mut accounts, submitted());
        let lines = ["lethe_audits_submitted_total 0", "lethe_shards_done_total{phase=\"score\"} 1"];
        shows(&metrics, &lines);
        shows(&metrics, &["lethe_task_retries_total{phase=\"score\"} 0"]);
    }

    #[test]
    fn a_new_leader_goes_on_in_the_audits_trace() {
        let Record::Audit(audit, mut record) = submitted() else { panic!("is an audit") };
        let of_client = Trace::begin();
        record.options.traceparent = Some(of_client.to_string());
        let record = Record::Audit(audit.clone(), record);
        let (mut first, _) = accounts(&[]);
        take(&mut first, record.clone());
        let (next, _) = accounts(&[record]);
        let phases = [&first, &next].map(|leader| leader.trace(&audit, PhaseIndex(0)));
        assert_eq!(phases, [Some(span_of_phase(of_client, &audit, PhaseIndex(0))); 2]);
        assert!(phases[0].is_some_and(|phase| phase.id() == of_client.id()));
    }
}

//! What the agent counts and tells of its tasks: metrics for whoever scrapes, a span a task and a step for whoever collects.
//!
//! It must never have a label that grows with what is audited, and never hold up the loop: it counts and queues.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use lethe_common::fault::{Fault, FaultKind};
use lethe_common::ids::{TaskId, WorkerId};
use lethe_telemetry::spans::{Ended, Spans};
use lethe_telemetry::{Process, Trace};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::frame::{RunTask, Work};
use crate::task::{StepTime, TaskOutput};

type Word = [(&'static str, &'static str); 1];
type ByWord = Family<Word, Counter>;
type SecondsByWord = Family<Word, Counter<f64, AtomicU64>>;
type HistogramByWord = Family<Word, Histogram, fn() -> Histogram>;

const TASK_BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 7_200.0];
const STEP_BUCKETS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0];
const COMMIT_BUCKETS: [f64; 10] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// What one worker counts; a clone counts into the same.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    session: Gauge,
    sessions: Counter,
    tasks: Family<[(&'static str, &'static str); 2], Counter>,
    faults: ByWord,
    task: HistogramByWord,
    samples: ByWord,
    decode_wait: SecondsByWord,
    busy: SecondsByWord,
    steps: ByWord,
    step: HistogramByWord,
    calls: ByWord,
    call_time: SecondsByWord,
    payload: ByWord,
    commit: Histogram,
    executors: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let unregistered = Self {
            registry: Arc::default(),
            session: Gauge::default(),
            sessions: Counter::default(),
            tasks: Family::default(),
            faults: ByWord::default(),
            task: Family::new_with_constructor(|| Histogram::new(TASK_BUCKETS)),
            samples: ByWord::default(),
            decode_wait: SecondsByWord::default(),
            busy: SecondsByWord::default(),
            steps: ByWord::default(),
            step: Family::new_with_constructor(|| Histogram::new(STEP_BUCKETS)),
            calls: ByWord::default(),
            call_time: SecondsByWord::default(),
            payload: ByWord::default(),
            commit: Histogram::new(COMMIT_BUCKETS),
            executors: Counter::default(),
        };
        for kind in FaultKind::ALL {
            drop(unregistered.faults.get_or_create(&[("kind", kind.as_str())]));
        }
        Self { registry: Arc::new(unregistered.registered()), ..unregistered }
    }
}

impl Metrics {
    fn registered(&self) -> Registry {
        let mut all = Registry::default();
        all.register_collector(Box::new(Process::default()));
        let build = Family::<Word, Gauge>::default();
        build.get_or_create(&[("version", env!("CARGO_PKG_VERSION"))]).set(1);
        all.register("lethe_build_info", "The release that runs, as a label", build);
        let own = all.sub_registry_with_prefix("lethe_worker");
        own.register("session_open", "1 while there is a session with a coordinator, else 0", self.session.clone());
        own.register("sessions_opened", "Sessions that were opened", self.sessions.clone());
        own.register("tasks", "Tasks that ended in the executor, by program and outcome", self.tasks.clone());
        own.register("task_faults", "Faults of tasks, by their kind", self.faults.clone());
        let help = "From a task's start in the executor to its end";
        own.register_with_unit("task", help, Unit::Seconds, self.task.clone());
        own.register("samples", "Samples read by map tasks, as they get on", self.samples.clone());
        let help = "Time of map tasks in which the device waited for samples to be read and decoded";
        own.register_with_unit("decode_wait", help, Unit::Seconds, self.decode_wait.clone());
        let help = "Time of tasks that was no wait for samples or for peers: what the device had work in, at most";
        own.register_with_unit("device_busy", help, Unit::Seconds, self.busy.clone());
        own.register("steps", "Steps of trainings that ended here", self.steps.clone());
        own.register_with_unit("step", "One step of a training", Unit::Seconds, self.step.clone());
        own.register("collective_calls", "Collective calls of steps", self.calls.clone());
        let help = "Time that the training's thread was in collective calls";
        own.register_with_unit("collective", help, Unit::Seconds, self.call_time.clone());
        let help = "Bytes of the tensors given to collective calls";
        own.register_with_unit("collective_payload", help, Unit::Bytes, self.payload.clone());
        let help = "From a result's being there to the coordinator's answer";
        own.register_with_unit("commit", help, Unit::Seconds, self.commit.clone());
        own.register("executor_exits", "Executor processes that ended", self.executors.clone());
        all
    }

    /// Every metric as Prometheus reads it.
    pub fn text(&self) -> String {
        lethe_telemetry::text(&self.registry)
    }

    /// Whether there is a session.
    pub fn has_session(&self) -> bool {
        self.session.get() == 1
    }
}

/// The agent's.
pub(super) struct Meter {
    metrics: Metrics,
    spans: Spans,
    worker: WorkerId,
    running: Option<Running>,
    /// Results on their way to the coordinator.
    committing: BTreeMap<TaskId, Instant>,
}

/// The task that the executor has.
struct Running {
    task: TaskId,
    program: &'static str,
    is_gang: bool,
    at: Instant,
    wall: SystemTime,
    /// The phase's span, and the task's own.
    trace: Option<(Trace, Trace)>,
    /// Samples that were counted.
    counted: u64,
    /// Of a training's steps.
    waited: Duration,
}

impl Meter {
    pub fn new(metrics: Metrics, spans: Spans, worker: WorkerId) -> Self {
        Self { metrics, spans, worker, running: None, committing: BTreeMap::new() }
    }

    pub fn opened(&self) {
        self.metrics.session.set(1);
        self.metrics.sessions.inc();
    }

    pub fn closed(&self) {
        self.metrics.session.set(0);
    }

    pub fn begins(&mut self, run: &RunTask) {
        let (program, is_gang) = match &run.work {
            Work::Map { program } => (program.as_str(), false),
            Work::Gang { program, .. } => (program.as_str(), true),
        };
        let phase = run.traceparent.as_deref().and_then(|text| text.parse::<Trace>().ok());
        self.running = Some(Running {
            task: run.task.clone(),
            program,
            is_gang,
            at: Instant::now(),
            wall: SystemTime::now(),
            trace: phase.map(|phase| (phase, span_of(phase, &run.task))),
            counted: 0,
            waited: Duration::ZERO,
        });
    }

    /// Of the task that runs.
    pub fn trace(&self, task: &TaskId) -> Option<Trace> {
        self.running.as_ref().filter(|running| running.task == *task)?.trace.map(|(_, own)| own)
    }

    /// Whether that is what runs, and a map task.
    pub fn runs_map(&self, task: &TaskId) -> bool {
        self.running.as_ref().is_some_and(|running| running.task == *task && !running.is_gang)
    }

    /// Samples of a map task so far; a gang's units are steps, which are told apart.
    pub fn progressed(&mut self, task: &TaskId, done: u64) {
        let Some(running) = self.running.as_mut().filter(|running| running.task == *task && !running.is_gang) else {
            return;
        };
        let added = done.saturating_sub(running.counted);
        running.counted += added;
        self.metrics.samples.get_or_create(&[("program", running.program)]).inc_by(added);
    }

    pub fn stepped(&mut self, task: &TaskId, steps: &[StepTime]) {
        let Some(running) = self.running.as_mut().filter(|running| running.task == *task) else { return };
        let (metrics, label) = (&self.metrics, [("program", running.program)]);
        for step in steps {
            let (took, waited) = (Duration::from_micros(step.took_us), Duration::from_micros(step.waited_us()));
            running.waited += waited;
            metrics.steps.get_or_create(&label).inc();
            metrics.step.get_or_create(&label).observe(took.as_secs_f64());
            for call in &step.calls {
                let Some(operation) = operation(&call.operation) else { continue };
                let label = [("operation", operation)];
                metrics.calls.get_or_create(&label).inc_by(call.calls);
                metrics.call_time.get_or_create(&label).inc_by(call.waited_us as f64 / 1e6);
                metrics.payload.get_or_create(&label).inc_by(call.payload_bytes);
            }
            if let Some((_, at)) = running.trace.filter(|_| self.spans.are_told()) {
                self.spans.tell(span_of_step(at, step));
            }
        }
    }

    pub fn done(&mut self, task: &TaskId, output: &TaskOutput, took: Duration) {
        let Some(running) = self.running.take_if(|running| running.task == *task) else { return };
        let label = [("program", running.program)];
        let waited = Duration::from_millis(output.waited_ms);
        if !running.is_gang {
            let rest = output.counts.read.saturating_sub(running.counted);
            self.metrics.samples.get_or_create(&label).inc_by(rest);
            self.metrics.decode_wait.get_or_create(&label).inc_by(waited.as_secs_f64());
        }
        let busy = took.saturating_sub(waited).saturating_sub(running.waited);
        self.metrics.busy.get_or_create(&label).inc_by(busy.as_secs_f64());
        self.metrics.task.get_or_create(&label).observe(took.as_secs_f64());
        self.end(&running, "done", None);
    }

    /// What it did before it failed was work too.
    pub fn failed(&mut self, task: &TaskId, fault: &Fault) {
        self.metrics.faults.get_or_create(&[("kind", fault.kind.as_str())]).inc();
        let Some(running) = self.running.take_if(|running| running.task == *task) else { return };
        let busy = running.at.elapsed().saturating_sub(running.waited);
        self.metrics.busy.get_or_create(&[("program", running.program)]).inc_by(busy.as_secs_f64());
        self.end(&running, "failed", Some(fault.kind.as_str()));
    }

    fn end(&self, running: &Running, outcome: &'static str, failed: Option<&'static str>) {
        self.metrics.tasks.get_or_create(&[("program", running.program), ("outcome", outcome)]).inc();
        let Some((phase, at)) = running.trace.filter(|_| self.spans.are_told()) else { return };
        let TaskId { audit, phase: index, shard, attempt } = &running.task;
        self.spans.tell(Ended {
            at,
            within: Some(phase),
            name: if running.is_gang { "rank" } else { "shard" }.into(),
            began: running.wall,
            ended: running.wall + running.at.elapsed(),
            facts: vec![
                ("lethe.audit", audit.as_str().into()),
                ("lethe.phase", index.0.into()),
                ("lethe.shard", shard.0.into()),
                ("lethe.attempt", attempt.to_string().into()),
                ("lethe.worker", self.worker.as_str().into()),
                ("lethe.program", running.program.into()),
            ],
            failed,
            is_call: false,
        });
    }

    /// Its result is on its way to the coordinator.
    pub fn commits(&mut self, task: &TaskId) {
        self.committing.insert(task.clone(), Instant::now());
    }

    pub fn settled(&mut self, task: &TaskId) {
        if let Some(since) = self.committing.remove(task) {
            self.metrics.commit.observe(since.elapsed().as_secs_f64());
        }
    }

    pub fn executor_ended(&self) {
        self.metrics.executors.inc();
    }
}

/// A task's own span, which follows from its phase's and its name.
fn span_of(phase: Trace, task: &TaskId) -> Trace {
    phase.named(&task.to_string())
}

/// The operations that there are, so that no other word becomes a label.
fn operation(name: &str) -> Option<&'static str> {
    ["all_reduce", "broadcast", "all_gather", "barrier"].into_iter().find(|known| *known == name)
}

fn span_of_step(task: Trace, step: &StepTime) -> Ended {
    let began = UNIX_EPOCH + Duration::from_micros(step.began_us);
    Ended {
        at: task.child(),
        within: Some(task),
        name: "step".into(),
        began,
        ended: began + Duration::from_micros(step.took_us),
        facts: vec![("lethe.step", step.step.into()), ("lethe.collective_us", step.waited_us().into())],
        failed: None,
        is_call: false,
    }
}

#[cfg(test)]
#[path = "meter_tests.rs"]
mod tests;

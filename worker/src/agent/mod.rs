//! The agent: one loop that owns the session, the executor and the desk between them.
//!
//! It must never call torch nor block: whatever takes time happens in the executor or in a task of its
//! own, and comes back as an event.

mod assign;
mod checkpoint;
mod child;
mod client;
mod commit;
mod desk;
mod lookout;
mod meter;
mod options;
mod phases;
mod post;
mod pulse;
mod rendezvous;
mod search;
mod session;
mod setback;
mod slot;
pub mod stop;

use std::time::Duration;

use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, Term};
use lethe_proto::v1;
use lethe_telemetry::logs;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};
use v1::coordinator_message::Kind;

use crate::frame::{FromExecutor, RunTask, ToExecutor};
use crate::task::Pace;
use assign::AssignError;
pub use child::ExecutorCommand;
use child::{Executor, ExecutorEvent};
use commit::{Commits, Leader};
use desk::{Action, Desk, Input};
use meter::Meter;
pub use meter::Metrics;
pub use options::{AgentOptions, Slots, SlotsError};
use phases::Phases;
use post::Post;
use session::{Opened, SessionEvent};
use stop::{Ending, Stop};

/// Holds the bearer token; executors do not get it.
pub const TOKEN_VARIABLE: &str = "LETHE_TOKEN";

/// How often the desk looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// How long work goes on without a session, for a leader that may come back.
const HOLD: Duration = Duration::from_secs(600);

/// Why tasks are handed back.
const STOPPING: &str = "the worker is stopping";

/// Events that may wait for the loop.
const INBOX: usize = 256;

/// Serves whoever leads until it is asked to stop; then finishes what it can and hands back the rest, within the grace.
/// Runs on a runtime of one thread that lives as long as the process, since executors die with the thread that
/// started them.
pub async fn run(options: AgentOptions, mut stops: mpsc::Receiver<Stop>) {
    let (session_events, mut session) = mpsc::channel(INBOX);
    let (executor_events, mut executor) = mpsc::channel(INBOX);
    let sessions = tokio::spawn(session::keep(options.clone(), session_events));
    let mut agent = Agent::new(options, executor_events);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !agent.may_leave() {
        tokio::select! {
            Some(event) = session.recv() => agent.on_session(event),
            Some(event) = executor.recv() => agent.on_executor(event),
            (task, outcome) = agent.commits.settled() => agent.on_settled(task, outcome),
            Some(stop) = stops.recv() => agent.on_stop(stop),
            _ = ticks.tick() => agent.on_tick(),
        }
    }
    let farewell = agent.farewell();
    drop(agent); // closes the session and kills the executor
    let seen = async { while !matches!(session.recv().await, Some(SessionEvent::Closed { .. }) | None) {} };
    drop(timeout(farewell, seen).await); // a coordinator that is gone says nothing
    sessions.abort();
}

struct Agent {
    options: AgentOptions,
    desk: Desk,
    executor: Option<Executor>,
    executor_events: mpsc::Sender<ExecutorEvent>,
    post: Option<Post>,
    phases: Phases,
    leader: watch::Sender<Option<Leader>>,
    /// Of the last session, until what it gave is given up.
    term: Option<Term>,
    lost_at: Option<Instant>,
    commits: Commits,
    pace: Pace,
    meter: Meter,
    ending: Option<Ending>,
}

impl Agent {
    fn new(options: AgentOptions, executor_events: mpsc::Sender<ExecutorEvent>) -> Self {
        let leader = watch::Sender::new(None);
        Self {
            desk: Desk::new(std::time::Instant::now(), options.slots),
            executor: None,
            executor_events,
            post: None,
            phases: Phases::default(),
            commits: Commits::new(options.id.clone(), leader.subscribe()),
            leader,
            pace: Pace::default(),
            meter: Meter::new(options.metrics.clone(), options.spans.clone(), options.id.clone()),
            term: None,
            lost_at: None,
            ending: None,
            options,
        }
    }

    fn may_leave(&self) -> bool {
        let done = || self.desk.is_free() && self.commits.all_answered();
        self.ending.is_some_and(|ending| Instant::now() >= ending.leave_at || done())
    }

    /// Without a session there is nobody to see its end.
    fn farewell(&self) -> Duration {
        let open = self.post.is_some();
        self.ending.filter(|_| open).map_or(Duration::ZERO, |ending| ending.farewell)
    }

    fn on_stop(&mut self, stop: Stop) {
        let now = Instant::now();
        match (stop, self.ending) {
            (Stop::Drain, None) => {
                info!("draining: nothing new is taken");
                self.ending = Some(Ending::drain(now, self.options.grace));
                self.post.iter().for_each(|post| post.draining(STOPPING));
                self.step(Input::Drain { reason: STOPPING.to_owned() });
            }
            (Stop::AtOnce, None) | (Stop::Drain | Stop::AtOnce, Some(_)) => {
                self.post.iter().for_each(|post| post.draining(STOPPING));
                self.hand_back(now);
            }
        }
    }

    fn hand_back(&mut self, now: Instant) {
        let at_once = Ending::at_once(now);
        let sooner = |ending: Ending| if ending.leave_at < at_once.leave_at { ending } else { at_once };
        self.ending = Some(self.ending.map_or(at_once, sooner));
        self.step(Input::HandBack { reason: STOPPING.to_owned() });
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        if self.lost_at.is_some_and(|at| now >= at + HOLD) {
            (self.lost_at, self.term) = (None, None);
            let reason = format!("there was no coordinator for {} s", HOLD.as_secs());
            self.step(Input::AbortAll { reason });
        }
        if self.ending.is_some_and(|ending| now >= ending.hand_back_at) {
            self.step(Input::HandBack { reason: STOPPING.to_owned() }); // once more does nothing
        }
        self.step(Input::Tick);
    }

    fn on_session(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Opened(opened) => self.on_opened(opened),
            SessionEvent::Received(kind) => self.on_message(kind),
            SessionEvent::Closed { reason } => {
                warn!(reason, "no session");
                self.meter.closed();
                self.post = None;
                self.leader.send_replace(None);
                self.lost_at.get_or_insert_with(Instant::now);
                self.step(Input::SessionLost { reason: format!("the coordinator is lost: {reason}") });
            }
        }
    }

    fn on_opened(&mut self, Opened { client, outbox, welcome, address }: Opened) {
        let term = Term(welcome.term);
        info!(%term, coordinator = address, "session opened");
        self.meter.opened();
        let last = self.term.replace(term);
        (self.lost_at, self.phases) = (None, Phases::default());
        self.leader.send_replace(Some(Leader { term, client }));
        let post = self.post.insert(Post::new(outbox, welcome.blob_root));
        if self.ending.is_some() {
            post.draining(STOPPING);
        }
        if last == Some(term) {
            self.step(Input::SessionResumed);
        } else {
            self.step(Input::AbortAll { reason: format!("the leader of term {term} gives its work anew") });
        }
    }

    fn on_message(&mut self, kind: Kind) {
        let Some(post) = &self.post else { return };
        match kind {
            Kind::Welcome(_) => warn!("a second welcome was ignored"),
            Kind::Map(message) => self.on_assignment(assign::map(message, post.blob_root())),
            Kind::MapPhase(phase) => self.phases.learn(phase),
            Kind::MapLeases(v1::MapLeases { leases, lease_ms: _ }) => {
                let root = post.blob_root().to_owned();
                leases.into_iter().for_each(|lease| self.on_assignment(assign::lease(lease, &self.phases, &root)));
            }
            Kind::Gang(message) => self.on_assignment(assign::gang(message, post.blob_root())),
            Kind::Abort(v1::AbortTask { task, reason }) => match assign::name(task) {
                Ok(task) => self.step(Input::AbortAsked { task, reason }),
                Err(error) => warn!(%error, "an abort without a task was ignored"),
            },
        }
    }

    fn on_assignment(&mut self, assignment: Result<RunTask, AssignError>) {
        match assignment {
            Ok(run) => self.step(Input::Assigned(Box::new(run))),
            Err(AssignError::Refused { task, fault }) => self.report(task, fault),
            Err(error @ AssignError::Unnamed(_)) => warn!(%error, "an assignment was ignored"),
        }
    }

    fn on_executor(&mut self, event: ExecutorEvent) {
        match event {
            ExecutorEvent::Frame(FromExecutor::Ready) => self.step(Input::ExecutorReady),
            ExecutorEvent::Frame(FromExecutor::Progress { task, done, total }) => {
                self.meter.progressed(&task, done);
                if let Some(post) = &self.post {
                    post.progress(task, done, total);
                }
            }
            ExecutorEvent::Frame(FromExecutor::Done { task, output, took_ms }) => {
                let is_map = self.meter.runs_map(&task);
                self.meter.done(&task, &output, Duration::from_millis(took_ms));
                if is_map {
                    self.pace.add(&output, took_ms);
                    self.post.iter().for_each(|post| post.pace(self.pace));
                }
                self.step(Input::ExecutorDone { task, output });
            }
            ExecutorEvent::Frame(FromExecutor::Broken { task, fault }) => {
                self.step(Input::ExecutorBroken { task, fault });
            }
            ExecutorEvent::Frame(FromExecutor::Failed { task, fault }) => {
                self.step(Input::ExecutorFailed { task, fault });
            }
            ExecutorEvent::Frame(FromExecutor::Rendezvous { call, task, generation, request }) => {
                self.serve_rendezvous(call, rendezvous::Question { task, generation, request });
            }
            ExecutorEvent::Frame(FromExecutor::Steps { task, steps }) => self.meter.stepped(&task, &steps),
            ExecutorEvent::Frame(FromExecutor::Whereabouts { task, place }) => {
                self.post.iter().for_each(|post| post.place(task.clone(), place.clone()));
            }
            ExecutorEvent::Frame(FromExecutor::Checkpoint { task, checkpoint }) => {
                let (worker, leader) = (self.options.id.clone(), self.leader.borrow().clone());
                tokio::spawn(checkpoint::tell(leader, worker, task, checkpoint));
            }
            ExecutorEvent::Exited(how) => {
                self.executor = None;
                self.meter.executor_ended();
                warn!(how, "executor ended");
                self.step(Input::ExecutorExited { how });
            }
        }
    }

    fn on_settled(&mut self, task: TaskId, outcome: Result<(), Fault>) {
        self.meter.settled(&task);
        if let Err(fault) = outcome {
            self.report(task, fault);
        }
    }

    /// One event into the desk, and what it orders done, together with what follows from that.
    fn step(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for action in self.desk.step(std::time::Instant::now(), input) {
                inputs.extend(self.perform(action));
            }
        }
    }

    fn perform(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::StartExecutor => return self.start_executor(),
            Action::KillExecutor => {
                warn!("killing the executor: it is not ready, or its task did not stop, in time");
                self.executor.iter_mut().for_each(Executor::kill);
            }
            Action::Run(run) => {
                self.meter.begins(&run);
                self.tell_executor(ToExecutor::Run(*run));
            }
            Action::Expect(run) => self.tell_executor(ToExecutor::Expect(*run)),
            Action::Abort(task) => self.tell_executor(ToExecutor::Abort { task }),
            Action::Commit(task, output) => {
                self.meter.commits(&task);
                self.commits.push(task, output);
            }
            Action::Fail(task, fault) => self.report(task, fault),
        }
        None
    }

    fn start_executor(&mut self) -> Option<Input> {
        match Executor::start(&self.options.executor, self.executor_events.clone()) {
            Ok(executor) => {
                self.executor = Some(executor);
                None
            }
            Err(error) => {
                let program = self.options.executor.program.display();
                Some(Input::ExecutorExited { how: format!("{program} could not be started: {error}") })
            }
        }
    }

    /// Without an executor its `Exited` has come, or is about to: the desk hears of it there.
    fn tell_executor(&self, message: ToExecutor) {
        if let Some(executor) = &self.executor {
            executor.sender().send(message);
        }
    }

    fn serve_rendezvous(&self, call: u64, question: rendezvous::Question) {
        let Some(executor) = &self.executor else { return };
        let (sender, leader) = (executor.sender(), self.leader.borrow().clone());
        tokio::spawn(async move {
            let reply = rendezvous::answer(leader, question).await;
            sender.send(ToExecutor::RendezvousReply { call, reply });
        });
    }

    /// Without a session the coordinator has given the task up already, and a newer leader never gave it.
    fn report(&mut self, task: TaskId, fault: Fault) {
        let _said = logs::task(&task, self.options.id.as_str(), self.meter.trace(&task)).entered();
        warn!(%fault, "task failed");
        self.meter.failed(&task, &fault);
        if let Some(post) = self.post.as_ref().filter(|_| self.term == Some(task.attempt.term)) {
            post.failed(task, fault);
        }
    }
}

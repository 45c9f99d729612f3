//! The agent: one loop that owns the session, the executor and the desk between them.
//!
//! It must never call torch nor block: whatever takes time happens in the executor or in a task of its
//! own, and comes back as an event.

mod assign;
mod child;
mod client;
mod commit;
mod desk;
mod post;
mod rendezvous;
mod session;

use std::future::Future;
use std::time::Duration;

use lethe_common::fault::Fault;
use lethe_common::ids::{TaskId, Term, WorkerId};
use lethe_proto::v1;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tracing::{info, warn};
use v1::coordinator_message::Kind;

use crate::frame::{FromExecutor, RunTask, ToExecutor};
use assign::AssignError;
pub use child::ExecutorCommand;
use child::{Executor, ExecutorEvent};
use commit::Leader;
use desk::{Action, Desk, Input};
use post::Post;
use session::{Opened, SessionEvent};

/// Holds the bearer token; executors do not get it.
pub const TOKEN_VARIABLE: &str = "LETHE_TOKEN";

/// How often the desk looks at the clock.
const TICK: Duration = Duration::from_millis(50);

/// How long a stopping worker waits for its task to end and its commits to be answered.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// How long it then waits for the coordinator to see the session's end.
const FAREWELL_DEADLINE: Duration = Duration::from_secs(2);

/// Events that may wait for the loop.
const INBOX: usize = 256;

#[derive(Clone)]
pub struct AgentOptions {
    /// Such as `http://127.0.0.1:7400`.
    pub coordinator: String,
    pub id: WorkerId,
    pub token: Option<String>,
    pub host: String,
    pub device: String,
    pub executor: ExecutorCommand,
}

/// Serves the coordinator until `shutdown`; then hands back what it holds. Runs on a runtime of one thread that
/// lives as long as the process, since executors die with the thread that started them.
pub async fn run(options: AgentOptions, shutdown: impl Future<Output = ()>) {
    let (session_events, mut session) = mpsc::channel(INBOX);
    let (executor_events, mut executor) = mpsc::channel(INBOX);
    let sessions = tokio::spawn(session::keep(options.clone(), session_events));
    let mut agent = Agent::new(options, executor_events);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop_by = None;
    tokio::pin!(shutdown);
    while !agent.may_stop(stop_by) {
        tokio::select! {
            Some(event) = session.recv() => agent.on_session(event),
            Some(event) = executor.recv() => agent.on_executor(event),
            Some(outcome) = agent.commits.join_next() => agent.on_commit(outcome),
            _ = ticks.tick() => agent.step(Input::Tick),
            () = &mut shutdown, if stop_by.is_none() => {
                stop_by = Some(Instant::now() + DRAIN_DEADLINE);
                agent.step(Input::AbortAll { reason: "the worker is stopping".to_owned() });
            }
        }
    }
    drop(agent); // closes the session and kills the executor
    let farewell = async { while !matches!(session.recv().await, Some(SessionEvent::Closed { .. }) | None) {} };
    drop(timeout(FAREWELL_DEADLINE, farewell).await); // a coordinator that is gone says nothing
    sessions.abort();
}

type CommitOutcome = (TaskId, Result<(), Fault>);

struct Agent {
    options: AgentOptions,
    desk: Desk,
    executor: Option<Executor>,
    executor_events: mpsc::Sender<ExecutorEvent>,
    post: Option<Post>,
    leader: watch::Sender<Option<Leader>>,
    commits: JoinSet<CommitOutcome>,
}

impl Agent {
    fn new(options: AgentOptions, executor_events: mpsc::Sender<ExecutorEvent>) -> Self {
        Self {
            options,
            desk: Desk::new(std::time::Instant::now()),
            executor: None,
            executor_events,
            post: None,
            leader: watch::Sender::new(None),
            commits: JoinSet::new(),
        }
    }

    fn may_stop(&self, stop_by: Option<Instant>) -> bool {
        stop_by.is_some_and(|by| Instant::now() >= by || (self.desk.is_free() && self.commits.is_empty()))
    }

    fn on_session(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::Opened(Opened { client, outbox, welcome }) => {
                info!(term = welcome.term, coordinator = self.options.coordinator, "session opened");
                self.leader.send_replace(Some(Leader { term: Term(welcome.term), client }));
                self.post = Some(Post::new(outbox, welcome.blob_root));
            }
            SessionEvent::Received(kind) => self.on_message(kind),
            SessionEvent::Closed { reason } => {
                warn!(reason, "no session");
                self.post = None;
                self.leader.send_replace(None);
                self.step(Input::AbortAll { reason: format!("the coordinator is lost: {reason}") });
            }
        }
    }

    fn on_message(&mut self, kind: Kind) {
        let Some(post) = &self.post else { return };
        match kind {
            Kind::Welcome(_) => warn!("a second welcome was ignored"),
            Kind::Map(message) => self.on_assignment(assign::map(message, post.blob_root())),
            Kind::Gang(message) => self.on_assignment(assign::gang(message, post.blob_root())),
            Kind::MapPhase(_) | Kind::MapLeases(_) => warn!("not yet"),
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
                if let Some(post) = &self.post {
                    post.progress(task, done, total);
                }
            }
            ExecutorEvent::Frame(FromExecutor::Done { task, output }) => {
                self.step(Input::ExecutorDone { task, output });
            }
            ExecutorEvent::Frame(FromExecutor::Failed { task, fault }) => {
                self.step(Input::ExecutorFailed { task, fault });
            }
            ExecutorEvent::Frame(FromExecutor::Rendezvous { call, task, generation, request }) => {
                self.serve_rendezvous(call, rendezvous::Question { task, generation, request });
            }
            ExecutorEvent::Exited(how) => {
                self.executor = None;
                warn!(how, "executor ended");
                self.step(Input::ExecutorExited { how });
            }
        }
    }

    fn on_commit(&mut self, outcome: Result<CommitOutcome, tokio::task::JoinError>) {
        match outcome {
            Ok((_, Ok(()))) => {}
            Ok((task, Err(fault))) => self.report(task, fault),
            Err(error) => warn!(%error, "a commit ended without an outcome"), // its lease will expire
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
                warn!("killing the executor: its task did not stop");
                self.executor.iter_mut().for_each(Executor::kill);
            }
            Action::Run(run) => self.tell_executor(ToExecutor::Run(*run)),
            Action::Abort(task) => self.tell_executor(ToExecutor::Abort { task }),
            Action::Commit(task, output) => {
                let (worker, leader) = (self.options.id.clone(), self.leader.subscribe());
                let commit = commit::commit(worker, task.clone(), output, leader);
                self.commits.spawn(async move { (task, commit.await) });
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

    /// Without a session the coordinator has given the task up already.
    fn report(&self, task: TaskId, fault: Fault) {
        warn!(%task, %fault, "task failed");
        if let Some(post) = &self.post {
            post.failed(task, fault);
        }
    }
}

//! A coordinator of one worker, over real gRPC on a port of the system's choice.
//!
//! It must never do more than a test said: it has no leases and no rules.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lethe_common::fault::{Fault, FaultKind};
use lethe_proto::v1;
use lethe_proto::v1::workers_server::{Workers, WorkersServer};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status, Streaming};

pub const TOKEN: &str = "a-token-for-tests";
pub const PATIENT: Duration = Duration::from_secs(60);
/// The first leader's.
pub const TERM: u64 = 7;

/// What the worker did, in order of arrival. Heartbeats are left out.
#[derive(Debug)]
pub enum Heard {
    Hello(v1::WorkerHello),
    Progress(v1::TaskProgress),
    Failed(Fault),
    Draining,
    /// So many commits in one call, told before they are answered.
    Group(usize),
    /// One that was applied.
    Committed(v1::CommitRequest),
    SessionEnded,
}

type Reply = Result<v1::CoordinatorMessage, Status>;

pub struct Coordinator {
    pub url: String,
    pub heard: mpsc::UnboundedReceiver<Heard>,
    shared: Arc<Shared>,
    /// The blob root, removed with this value.
    pub folder: tempfile::TempDir,
}

struct Shared {
    heard: mpsc::UnboundedSender<Heard>,
    blob_root: String,
    session: Mutex<Option<mpsc::Sender<Reply>>>,
    keys: watch::Sender<BTreeMap<String, Vec<u8>>>,
    rules: Mutex<Rules>,
    /// Whether calls to commit are answered.
    gate: watch::Sender<bool>,
}

/// What a test said.
#[derive(Debug, Clone)]
struct Rules {
    term: u64,
    /// Sessions are refused with this for a hint.
    leader: Option<String>,
    /// Calls to answer with `Unavailable` before one is taken.
    failing_commits: u32,
    refused_commits: Option<String>,
    /// Commits whose outputs it cannot look at, so many more.
    unseen_commits: u32,
    knows_groups: bool,
}

impl Coordinator {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let url = format!("http://{}", listener.local_addr().expect("has an address"));
        let (heard_sender, heard) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            heard: heard_sender,
            blob_root: format!("file://{}", folder.path().display()),
            session: Mutex::new(None),
            keys: watch::Sender::new(BTreeMap::new()),
            rules: Mutex::new(Rules {
                term: TERM,
                leader: None,
                failing_commits: 0,
                refused_commits: None,
                unseen_commits: 0,
                knows_groups: true,
            }),
            gate: watch::Sender::new(true),
        });
        let service = WorkersServer::with_interceptor(Service(shared.clone()), |request: Request<()>| {
            let expected = format!("Bearer {TOKEN}");
            let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
            if token == Some(&expected) { Ok(request) } else { Err(Status::unauthenticated("wrong token")) }
        });
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Self { url, heard, shared, folder }
    }

    pub async fn send(&self, kind: v1::coordinator_message::Kind) {
        let session = self.shared.session.lock().expect("is whole").clone().expect("a session is open");
        session.send(Ok(v1::CoordinatorMessage { kind: Some(kind) })).await.expect("the session takes it");
    }

    /// Ends the session from this side, as a coordinator that restarts does.
    pub fn hang_up(&self) {
        *self.shared.session.lock().expect("is whole") = None;
    }

    fn rule(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.rules.lock().expect("is whole"));
    }

    pub fn fail_commits(&self, count: u32) {
        self.rule(|rules| rules.failing_commits = count);
    }

    pub fn see_no_commits(&self, count: u32) {
        self.rule(|rules| rules.unseen_commits = count);
    }

    pub fn refuse_commits(&self, reason: &str) {
        self.rule(|rules| rules.refused_commits = Some(reason.to_owned()));
    }

    /// As a coordinator of version 1.
    pub fn forget_groups(&self) {
        self.rule(|rules| rules.knows_groups = false);
    }

    /// From the next session on.
    pub fn elect(&self, term: u64) {
        self.rule(|rules| rules.term = term);
    }

    /// Refuses sessions from now on, and says who leads.
    pub fn follow(&self, leader: &Self) {
        self.rule(|rules| rules.leader = Some(leader.url.clone()));
    }

    /// Ends the session, and refuses every other.
    pub fn go_away(&self) {
        self.rule(|rules| rules.leader = Some("nowhere".to_owned()));
        self.hang_up();
    }

    pub fn hold_commits(&self) {
        self.shared.gate.send_replace(false);
    }

    pub fn answer_commits(&self) {
        self.shared.gate.send_replace(true);
    }

    /// Waits for the first report that a test is after; the others are dropped.
    pub async fn wait_for<T>(&mut self, what: &str, mut wanted: impl FnMut(Heard) -> Option<T>) -> T {
        let found = async {
            loop {
                let heard = self.heard.recv().await.expect("the service runs");
                if let Some(found) = wanted(heard) {
                    return found;
                }
            }
        };
        timeout(PATIENT, found).await.unwrap_or_else(|_| panic!("waited in vain for {what}"))
    }

    pub async fn hello(&mut self) -> v1::WorkerHello {
        let hello = |heard| if let Heard::Hello(hello) = heard { Some(hello) } else { None };
        self.wait_for("a hello", hello).await
    }

    pub async fn fault(&mut self) -> Fault {
        let fault = |heard| if let Heard::Failed(fault) = heard { Some(fault) } else { None };
        self.wait_for("a failure", fault).await
    }

    pub async fn retryable(&mut self) -> String {
        let fault = self.fault().await;
        assert_eq!(fault.kind, FaultKind::Retryable, "{fault}");
        fault.message
    }

    pub async fn commit(&mut self) -> v1::CommitRequest {
        let commit = |heard| if let Heard::Committed(commit) = heard { Some(commit) } else { None };
        self.wait_for("a commit", commit).await
    }

    /// How many commits the next call has.
    pub async fn group(&mut self) -> usize {
        self.wait_for("a group", |heard| if let Heard::Group(size) = heard { Some(size) } else { None }).await
    }

    pub async fn draining(&mut self) {
        self.wait_for("a drain", |heard| matches!(heard, Heard::Draining).then_some(())).await;
    }

    pub async fn handed_back(&mut self) -> String {
        let fault = self.fault().await;
        assert_eq!(fault.kind, FaultKind::HandedBack, "{fault}");
        fault.message
    }

    pub async fn progress(&mut self) -> v1::TaskProgress {
        let progress = |heard| if let Heard::Progress(progress) = heard { Some(progress) } else { None };
        self.wait_for("progress", progress).await
    }

    pub async fn progress_of(&mut self, counter: u64) -> v1::TaskProgress {
        let wanted = Some(super::messages::task(counter));
        let progress = |heard| match heard {
            Heard::Progress(progress) if progress.task == wanted => Some(progress),
            _ => None,
        };
        self.wait_for("progress of a task", progress).await
    }

    pub async fn session_end(&mut self) {
        self.wait_for("the session's end", |heard| matches!(heard, Heard::SessionEnded).then_some(())).await;
    }
}

struct Service(Arc<Shared>);

impl Shared {
    fn note(&self, heard: Heard) {
        drop(self.heard.send(heard)); // the test may have ended
    }

    fn rules(&self) -> Rules {
        self.rules.lock().expect("is whole").clone()
    }

    async fn may_answer(&self) -> Result<(), Status> {
        drop(self.gate.subscribe().wait_for(|open| *open).await);
        let mut rules = self.rules.lock().expect("is whole");
        if rules.failing_commits > 0 {
            rules.failing_commits -= 1;
            return Err(Status::unavailable("the store is busy"));
        }
        Ok(())
    }

    fn decide(&self, commit: v1::CommitRequest) -> v1::CommitResult {
        if let Some(reason) = self.rules().refused_commits {
            return v1::CommitResult { outcome: v1::CommitOutcome::Refused.into(), reason };
        }
        let mut rules = self.rules.lock().expect("is whole");
        if rules.unseen_commits > 0 {
            rules.unseen_commits -= 1;
            let reason = "the coordinator cannot look at what was written".to_owned();
            return v1::CommitResult { outcome: v1::CommitOutcome::Again.into(), reason };
        }
        drop(rules);
        self.note(Heard::Committed(commit));
        v1::CommitResult { outcome: v1::CommitOutcome::Applied.into(), reason: String::new() }
    }
}

async fn listen(shared: Arc<Shared>, replies: mpsc::WeakSender<Reply>, mut messages: Streaming<v1::WorkerMessage>) {
    use v1::worker_message::Kind;
    while let Ok(Some(message)) = messages.message().await {
        match message.kind {
            Some(Kind::Hello(hello)) => shared.note(Heard::Hello(hello)),
            Some(Kind::Progress(progress)) => shared.note(Heard::Progress(progress)),
            Some(Kind::Failed(failed)) => shared.note(Heard::Failed(failed.fault.expect("has a fault").into())),
            Some(Kind::Draining(_)) => shared.note(Heard::Draining),
            Some(Kind::Heartbeat(_)) | None => {}
        }
    }
    let mut session = shared.session.lock().expect("is whole");
    // The worker may have opened the next one already.
    if session.as_ref().zip(replies.upgrade()).is_some_and(|(open, ended)| open.same_channel(&ended)) {
        *session = None;
    }
    shared.note(Heard::SessionEnded);
}

fn key(key: Option<v1::RendezvousKey>) -> String {
    let key = key.expect("has a key");
    format!("{}/{}", key.generation, key.key)
}

#[tonic::async_trait]
impl Workers for Service {
    type SessionStream = ReceiverStream<Reply>;

    async fn session(
        &self,
        request: Request<Streaming<v1::WorkerMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let (replies, stream) = mpsc::channel(16);
        let (blob_root, rules) = (self.0.blob_root.clone(), self.0.rules());
        if let Some(leader) = rules.leader {
            let mut refusal = Status::unavailable("does not lead");
            refusal.metadata_mut().insert("lethe-leader", leader.parse().expect("is ASCII"));
            return Err(refusal);
        }
        let welcome = v1::Welcome { term: rules.term, heartbeat_ms: 100, blob_root };
        let kind = Some(v1::coordinator_message::Kind::Welcome(welcome));
        replies.send(Ok(v1::CoordinatorMessage { kind })).await.expect("is open");
        tokio::spawn(listen(self.0.clone(), replies.downgrade(), request.into_inner()));
        *self.0.session.lock().expect("is whole") = Some(replies);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        self.0.may_answer().await?;
        let outcome = self.0.decide(request.into_inner()).outcome;
        Ok(Response::new(v1::CommitReply { outcome }))
    }

    async fn checkpoint_gang(
        &self,
        _: Request<v1::CheckpointGangRequest>,
    ) -> Result<Response<v1::CheckpointGangReply>, Status> {
        Err(Status::unimplemented("no test writes one yet"))
    }

    async fn commit_many(
        &self,
        request: Request<v1::CommitManyRequest>,
    ) -> Result<Response<v1::CommitManyReply>, Status> {
        if !self.0.rules().knows_groups {
            return Err(Status::unimplemented("this is version 1"));
        }
        let v1::CommitManyRequest { worker, commits } = request.into_inner();
        assert_eq!(worker, "w0");
        self.0.note(Heard::Group(commits.len()));
        self.0.may_answer().await?;
        Ok(Response::new(v1::CommitManyReply { results: commits.into_iter().map(|c| self.0.decide(c)).collect() }))
    }

    async fn rendezvous_set(
        &self,
        request: Request<v1::RendezvousSetRequest>,
    ) -> Result<Response<v1::RendezvousSetReply>, Status> {
        let v1::RendezvousSetRequest { key: name, value } = request.into_inner();
        self.0.keys.send_modify(|keys| drop(keys.insert(key(name), value)));
        Ok(Response::new(v1::RendezvousSetReply {}))
    }

    async fn rendezvous_get(
        &self,
        request: Request<v1::RendezvousGetRequest>,
    ) -> Result<Response<v1::RendezvousGetReply>, Status> {
        let v1::RendezvousGetRequest { key: name, timeout_ms } = request.into_inner();
        let (name, mut keys) = (key(name), self.0.keys.subscribe());
        let found = timeout(Duration::from_millis(timeout_ms), keys.wait_for(|keys| keys.contains_key(&name))).await;
        let found = found.map_err(|_| Status::deadline_exceeded("the key did not appear"))?.expect("is open");
        Ok(Response::new(v1::RendezvousGetReply { value: found[&name].clone() }))
    }

    async fn rendezvous_add(
        &self,
        _: Request<v1::RendezvousAddRequest>,
    ) -> Result<Response<v1::RendezvousAddReply>, Status> {
        Err(Status::unimplemented("no test adds"))
    }
}

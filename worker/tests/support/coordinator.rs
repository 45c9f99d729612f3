//! A coordinator of one worker, over real gRPC on a port of the system's choice.

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
const TERM: u64 = 7;

/// What the worker did, in order of arrival. Heartbeats are left out.
#[derive(Debug)]
pub enum Heard {
    Hello(v1::WorkerHello),
    Progress(v1::TaskProgress),
    Failed(Fault),
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
    /// Commits to answer with `Unavailable` before one is taken.
    failing_commits: Mutex<u32>,
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
            failing_commits: Mutex::new(0),
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

    pub fn fail_commits(&self, count: u32) {
        *self.shared.failing_commits.lock().expect("is whole") = count;
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

    pub async fn progress(&mut self) -> v1::TaskProgress {
        let progress = |heard| if let Heard::Progress(progress) = heard { Some(progress) } else { None };
        self.wait_for("progress", progress).await
    }

    pub async fn session_end(&mut self) {
        self.wait_for("the session's end", |heard| matches!(heard, Heard::SessionEnded).then_some(())).await;
    }
}

pub fn task(counter: u64) -> v1::TaskId {
    let attempt = Some(v1::Attempt { term: TERM, counter });
    v1::TaskId { audit: "audit".into(), phase: 2, shard: 0, attempt }
}

/// The scripted executor takes the spec's audit id for its instruction.
fn spec(instruction: &str) -> Vec<u8> {
    let spec = serde_json::json!({
        "audit": {"id": instruction},
        "model": {"config": "m.json"},
        "data": {"shards": ["0.tar"]},
    });
    spec.to_string().into_bytes()
}

pub fn map(counter: u64, instruction: &str) -> v1::coordinator_message::Kind {
    v1::coordinator_message::Kind::Map(v1::MapTask {
        task: Some(task(counter)),
        program: "score".into(),
        params_json: spec(instruction),
        inputs: Vec::new(),
        lease_ms: 60_000,
    })
}

pub fn gang(counter: u64, instruction: &str, world_size: u32) -> v1::coordinator_message::Kind {
    v1::coordinator_message::Kind::Gang(v1::GangTask {
        task: Some(task(counter)),
        program: "train".into(),
        params_json: spec(instruction),
        inputs: Vec::new(),
        generation: counter,
        rank: 0,
        world_size,
        timeout_ms: 30_000,
    })
}

pub fn abort(counter: u64) -> v1::coordinator_message::Kind {
    let abort = v1::AbortTask { task: Some(task(counter)), reason: "the test says so".into() };
    v1::coordinator_message::Kind::Abort(abort)
}

struct Service(Arc<Shared>);

impl Shared {
    fn note(&self, heard: Heard) {
        drop(self.heard.send(heard)); // the test may have ended
    }
}

async fn listen(shared: Arc<Shared>, replies: mpsc::WeakSender<Reply>, mut messages: Streaming<v1::WorkerMessage>) {
    use v1::worker_message::Kind;
    while let Ok(Some(message)) = messages.message().await {
        match message.kind {
            Some(Kind::Hello(hello)) => shared.note(Heard::Hello(hello)),
            Some(Kind::Progress(progress)) => shared.note(Heard::Progress(progress)),
            Some(Kind::Failed(failed)) => shared.note(Heard::Failed(failed.fault.expect("has a fault").into())),
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
        let blob_root = self.0.blob_root.clone();
        let welcome = v1::Welcome { term: TERM, heartbeat_ms: 100, blob_root };
        let kind = Some(v1::coordinator_message::Kind::Welcome(welcome));
        replies.send(Ok(v1::CoordinatorMessage { kind })).await.expect("is open");
        tokio::spawn(listen(self.0.clone(), replies.downgrade(), request.into_inner()));
        *self.0.session.lock().expect("is whole") = Some(replies);
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn commit(&self, request: Request<v1::CommitRequest>) -> Result<Response<v1::CommitReply>, Status> {
        let mut failing = self.0.failing_commits.lock().expect("is whole");
        if *failing > 0 {
            *failing -= 1;
            return Err(Status::unavailable("the store is not reachable"));
        }
        self.0.note(Heard::Committed(request.into_inner()));
        Ok(Response::new(v1::CommitReply { outcome: v1::CommitOutcome::Applied.into() }))
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

//! A server on a system-chosen port over a folder whose audit has already been planned, and clients of it.

use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lethe_common::ids::{AuditId, PhaseIndex};
use lethe_common::spec::Spec;
use lethe_common::time::Millis;
use lethe_coordinator::api::{Gate, Places, Token};
use lethe_coordinator::plans;
use lethe_coordinator::results::ResultFolder;
use lethe_coordinator::server::{self, Config, PagesAt, ServerError, StoreChoice};
use lethe_coordinator::store::{Candidate, Fence, Outcome, Store, records};
use lethe_engine::{AuditRecord, Change, Knobs, Options, Outline, PhaseRecord, PhaseState, Record};
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::coordinator_message::Kind as Order;
use lethe_proto::v1::worker_message::Kind as Word;
use lethe_proto::v1::workers_client::WorkersClient;
use lethe_proto::{WIRE_VERSION, v1};
use lethe_telemetry::spans::Spans;
use tempfile::TempDir;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

pub const TOKEN: &str = "a token for tests only";
pub const SHARDS: u32 = 3;
/// Long enough that no worker of a test is lost for silence by chance.
pub const CALM_HEARTBEAT_MS: u64 = 20_000;
const DEADLINE: Duration = Duration::from_secs(20);

type Bearer = fn(Request<()>) -> Result<Request<()>, Status>;
pub type Workers = WorkersClient<InterceptedService<Channel, Bearer>>;
pub type Audits = AuditsClient<InterceptedService<Channel, Bearer>>;

/// Every wait of a test has this deadline.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

pub fn audit() -> AuditId {
    AuditId::new("drill").expect("is an id")
}

pub fn spec() -> Spec {
    let json = serde_json::json!({
        "audit": { "id": "drill", "plan": "train" },
        "model": { "config": "/nowhere/model.json" },
        "data": { "shards": ["/nowhere/{0..2}.tar"] },
    });
    serde_json::from_value(json).expect("is a spec")
}

/// Puts an audit into the store as its plan phase would have left it.
pub async fn plan_ahead(work: &Path) {
    let store = Store::open(work).expect("opens");
    let me = Candidate { address: "nowhere".to_owned(), ttl: DEADLINE };
    let reign = store.campaign(&me).await.expect("elects");
    let plan = plans::build(&spec());
    let done = |index| if index == 0 { PhaseState::Done { at: Millis(2) } } else { PhaseState::Waiting };
    let phases = (0..plan.phases.len() as u32).map(|index| {
        let record = PhaseRecord { state: done(index), ..PhaseRecord::waiting() };
        Record::Phase(audit(), PhaseIndex(index), record)
    });
    let mut planned: Vec<Change> = phases.map(Change::Put).collect();
    let spec_json = serde_json::to_string(&spec()).expect("is JSON");
    let mut record = AuditRecord::submitted(plan, spec_json, Options::default(), Millis(1));
    record.outline = Some(Outline { shards: SHARDS, ..Outline::default() });
    planned.push(Change::Put(Record::Audit(audit(), record)));
    let outcome = store.commit(Fence { term: reign.term, batch: 1 }, &records::batch(&planned)).await;
    assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
}

pub struct Rig {
    folder: TempDir,
    address: String,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<Result<(), ServerError>>,
}

impl Rig {
    pub async fn calm() -> Self {
        Self::with_heartbeat(CALM_HEARTBEAT_MS).await
    }

    pub async fn with_heartbeat(heartbeat_ms: u64) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        plan_ahead(&folder.path().join("work")).await;
        Self::over(folder, heartbeat_ms, token()).await
    }

    /// Behind another gate than the token.
    pub async fn behind(gate: Gate) -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        plan_ahead(&folder.path().join("work")).await;
        Self::over(folder, CALM_HEARTBEAT_MS, gate).await
    }

    /// Over a folder whose work folder was made ready by a test.
    pub async fn over_folder(folder: TempDir) -> Self {
        Self::over(folder, CALM_HEARTBEAT_MS, token()).await
    }

    async fn over(folder: TempDir, heartbeat_ms: u64, gate: Gate) -> Self {
        let listener = server::listen("127.0.0.1:0".parse().expect("is an address"), &gate).await.expect("listens");
        let scheme = if gate.credentials().is_some() { "https" } else { "http" };
        let address = format!("{scheme}://{}", listener.local_addr().expect("has an address"));
        let config = Config {
            work: folder.path().join("work"),
            blobs: None,
            store: StoreChoice::Embedded,
            advertise: None,
            results: ResultFolder::One(folder.path().join("result")),
            knobs: Knobs::from_heartbeat(heartbeat_ms).expect("is ordered"),
            places: match gate {
                Gate::Token(_) => Places::Any,
                Gate::Certificates(_) => Places::Only { roots: vec!["/nowhere".into()], stores: Vec::new() },
            },
            pages: Some(PagesAt { listen: "127.0.0.1:0".parse().expect("is an address"), url: None }),
            metrics: None,
            spans: Spans::off(),
            gate,
        };
        let (stop, stopped) = oneshot::channel();
        let server = tokio::spawn(server::run(listener, config, async { drop(stopped.await) }));
        Self { folder, address, stop: Some(stop), server }
    }

    /// Stops the server and starts another on the same folder.
    pub async fn restart(self) -> Self {
        let folder = self.stop().await;
        Self::over(folder, CALM_HEARTBEAT_MS, token()).await
    }

    pub async fn stop(mut self) -> TempDir {
        drop(self.stop.take());
        soon("the server's end", self.server).await.expect("does not panic").expect("ends well");
        self.folder
    }

    pub fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub async fn channel(&self) -> Channel {
        connect(&self.address).await
    }

    pub async fn workers(&self) -> Workers {
        WorkersClient::with_interceptor(self.channel().await, bearer)
    }

    pub async fn audits(&self) -> Audits {
        AuditsClient::with_interceptor(self.channel().await, bearer)
    }

    pub async fn worker(&self, name: &str) -> Worker {
        Worker::join(self.workers().await, name).await
    }
}

fn token() -> Gate {
    Gate::Token(Token::new(TOKEN).expect("is long enough"))
}

pub async fn connect(address: &str) -> Channel {
    let endpoint = Channel::from_shared(address.to_owned()).expect("is a URL");
    soon("a connection", endpoint.connect()).await.expect("connects")
}

pub fn bearer(mut request: Request<()>) -> Result<Request<()>, Status> {
    let value = MetadataValue::try_from(format!("Bearer {TOKEN}")).expect("is ascii");
    request.metadata_mut().insert("authorization", value);
    Ok(request)
}

/// A worker's side of a session.
pub struct Worker {
    pub name: String,
    pub client: Workers,
    pub welcome: v1::Welcome,
    words: mpsc::Sender<v1::WorkerMessage>,
    orders: Streaming<v1::CoordinatorMessage>,
    phases: Vec<v1::MapPhase>,
    /// Tasks that came together with one that was taken.
    leased: VecDeque<v1::MapTask>,
}

/// A hello of the present version; the worker holds one task at a time.
pub fn hello(name: &str) -> v1::WorkerHello {
    let (worker, host, device) = (name.to_owned(), "here".to_owned(), "cpu".to_owned());
    v1::WorkerHello { worker, version: WIRE_VERSION, host, device, slots: 1, ..Default::default() }
}

impl Worker {
    pub async fn join(client: Workers, name: &str) -> Self {
        Self::open(client, hello(name)).await.expect("is welcome")
    }

    pub async fn open(mut client: Workers, hello: v1::WorkerHello) -> Result<Self, Status> {
        let (words, stream) = mpsc::channel(16);
        let name = hello.worker.clone();
        words.send(v1::WorkerMessage { kind: Some(Word::Hello(hello)) }).await.expect("has room");
        let mut orders = soon("a session", client.session(ReceiverStream::new(stream))).await?.into_inner();
        let first = soon("a welcome", orders.message()).await?;
        let Some(Order::Welcome(welcome)) = first.and_then(|m| m.kind) else { panic!("no welcome came first") };
        let (phases, leased) = (Vec::new(), VecDeque::new());
        Ok(Self { name, client, welcome, words, orders, phases, leased })
    }

    pub async fn say(&self, word: Word) {
        self.words.send(v1::WorkerMessage { kind: Some(word) }).await.expect("the session is open");
    }

    /// The next order, or none when the coordinator ended the session.
    pub async fn order(&mut self) -> Option<Order> {
        soon("an order", self.orders.message()).await.ok().flatten().and_then(|message| message.kind)
    }

    /// The next map task, put together from its phase and its lease.
    pub async fn map(&mut self) -> v1::MapTask {
        while self.leased.is_empty() {
            match self.order().await {
                Some(Order::Map(task)) => self.leased.push_back(task),
                Some(Order::MapPhase(phase)) => self.phases.push(phase),
                Some(Order::MapLeases(group)) => {
                    let tasks: Vec<v1::MapTask> = group.leases.into_iter().map(|lease| self.whole(lease)).collect();
                    self.leased.extend(tasks);
                }
                other => panic!("expected a map task, got {other:?}"),
            }
        }
        self.leased.pop_front().expect("one came")
    }

    fn whole(&self, lease: v1::MapLease) -> v1::MapTask {
        let task = lease.task.expect("is named");
        let phase = self.phases.iter().rev().find(|phase| (&phase.audit, phase.phase) == (&task.audit, task.phase));
        let phase = phase.expect("its phase was told first").clone();
        let inputs = phase.inputs.into_iter().chain(lease.inputs).collect();
        v1::MapTask {
            task: Some(task),
            program: phase.program,
            params_json: phase.params_json,
            inputs,
            lease_ms: 0,
            traceparent: phase.traceparent,
        }
    }

    pub async fn gang(&mut self) -> v1::GangTask {
        match self.order().await {
            Some(Order::Gang(task)) => task,
            other => panic!("expected a gang task, got {other:?}"),
        }
    }

    pub async fn commit(&mut self, task: v1::TaskId) -> v1::CommitOutcome {
        let request = v1::CommitRequest {
            worker: self.name.clone(),
            task: Some(task),
            outputs: Vec::new(),
            counts: Some(v1::Counts { read: 10, scored: 9, failed: 1 }),
        };
        soon("a commit", self.client.commit(request)).await.expect("is answered").into_inner().outcome()
    }
}

/// The first view that satisfies a condition.
pub async fn view_where(audits: &mut Audits, holds: impl Fn(&v1::AuditView) -> bool) -> v1::AuditView {
    let request = v1::WatchAuditRequest { audit: audit().to_string() };
    let mut views = audits.watch_audit(request).await.expect("is watched").into_inner();
    let mut last = None;
    let found = tokio::time::timeout(DEADLINE, async {
        while let Some(reply) = views.message().await.expect("streams") {
            let view = reply.audit.expect("has a view");
            if holds(&view) {
                return Some(view);
            }
            last = Some(view);
        }
        None
    });
    found.await.ok().flatten().unwrap_or_else(|| panic!("no such view came; the last was {last:?}"))
}

//! Whoever asks the coordinators: submits, looks, and finds the one that leads.
//!
//! It must never wait longer than its deadline for a coordinator that is stopped.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::{
    AuditView, ClusterReply, ClusterRequest, GetAuditRequest, ListAuditsRequest, ListWorkersRequest, SubmitRequest,
    WorkerView,
};
use lethe_tls::{Credentials, Target};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use crate::audit::DEADLINE;

pub const TOKEN: &str = "chaos-chaos-chaos-chaos";

/// One call's deadline.
const PATIENCE: Duration = Duration::from_secs(2);

type Client = AuditsClient<InterceptedService<Channel, Bearer>>;

#[derive(Clone)]
struct Bearer;

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer: AsciiMetadataValue = format!("Bearer {TOKEN}").parse().expect("is plain text");
        request.metadata_mut().insert("authorization", bearer);
        Ok(request)
    }
}

pub struct Operator {
    clients: Vec<Client>,
    /// The coordinator that answered last.
    last: AtomicUsize,
    runtime: Runtime,
}

impl Operator {
    pub fn new(addresses: &[String], certificate: Option<&Path>) -> Self {
        let certificate = certificate.map(|folder| Credentials::load(folder).expect("is a certificate"));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("makes a runtime");
        let entered = runtime.enter();
        let client = |address: &String| {
            let target = Target::new(address, certificate.as_ref()).expect("is an address");
            let channel =
                target.with(|e| e.connect_timeout(PATIENCE).timeout(PATIENCE)).connect_lazy(certificate.as_ref());
            AuditsClient::with_interceptor(channel, Bearer)
        };
        let clients = addresses.iter().map(client).collect();
        drop(entered);
        Self { clients, last: AtomicUsize::new(0), runtime }
    }

    /// The first answer of any coordinator, and which that was; none where nobody leads now.
    fn any<T>(&self, ask: impl AsyncFn(Client) -> Result<T, Status>) -> Option<(usize, T)> {
        let first = self.last.load(Ordering::Relaxed);
        let order = (0..self.clients.len()).map(|n| (first + n) % self.clients.len());
        let found = order.into_iter().find_map(|index| Some((index, self.one(index, &ask).ok()?)))?;
        self.last.store(found.0, Ordering::Relaxed);
        Some(found)
    }

    /// Asks this coordinator first from here on: one that is cut off from its store still shows what it knew.
    pub fn follow(&self, index: usize) {
        self.last.store(index, Ordering::Relaxed);
    }

    fn one<T>(&self, index: usize, ask: impl AsyncFn(Client) -> Result<T, Status>) -> Result<T, Status> {
        let answer = async { tokio::time::timeout(PATIENCE, ask(self.clients[index].clone())).await };
        self.runtime.block_on(answer).unwrap_or_else(|_| Err(Status::deadline_exceeded("no answer")))
    }

    pub fn view(&self, audit: &str) -> Option<AuditView> {
        let request = || GetAuditRequest { audit: audit.to_owned() };
        self.any(async |mut client| client.get_audit(request()).await).and_then(|(_, r)| r.into_inner().audit)
    }

    pub fn workers(&self) -> Option<Vec<WorkerView>> {
        let ask = async |mut client: Client| client.list_workers(ListWorkersRequest {}).await;
        self.any(ask).map(|(_, reply)| reply.into_inner().workers)
    }

    pub fn audits(&self) -> Option<Vec<AuditView>> {
        let ask = async |mut client: Client| client.list_audits(ListAuditsRequest {}).await;
        self.any(ask).map(|(_, reply)| reply.into_inner().audits)
    }

    /// What one coordinator says of itself: only one that leads answers.
    pub fn cluster(&self, index: usize) -> Result<ClusterReply, Status> {
        self.one(index, async |mut client| client.cluster(ClusterRequest {}).await).map(tonic::Response::into_inner)
    }

    pub fn submit(&self, audit: &str, spec_json: Vec<u8>) -> bool {
        let request =
            || SubmitRequest { audit: audit.to_owned(), spec_json: spec_json.clone(), ..SubmitRequest::default() };
        self.any(async |mut client| client.submit(request()).await).is_some()
    }

    /// Sends an audit to one coordinator, on a connection of its own, and leaves the call open.
    pub fn begin_submit(&self, address: &str, audit: &str, spec_json: Vec<u8>) -> JoinHandle<Result<(), Status>> {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("is an address");
        let request = SubmitRequest { audit: audit.to_owned(), spec_json, ..SubmitRequest::default() };
        self.runtime.spawn(async move {
            let channel = endpoint.connect().await.map_err(|e| Status::unavailable(e.to_string()))?;
            AuditsClient::with_interceptor(channel, Bearer).submit(request).await.map(|_| ())
        })
    }

    /// The end of such a call.
    pub fn end_submit(&self, call: JoinHandle<Result<(), Status>>) -> Result<(), Status> {
        let ended = async { tokio::time::timeout(DEADLINE, call).await };
        self.runtime.block_on(ended).expect("ends in time").expect("does not panic")
    }
}

//! A coordinator that plays a script: what it answers first, what it knows, how its streams end.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use lethe_proto::v1;
use lethe_proto::v1::audits_server::{Audits, AuditsServer};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// What a fake knows and was asked.
#[derive(Default)]
pub struct Script {
    /// Answered first, one a call; afterwards it leads.
    pub refusals: VecDeque<Status>,
    /// Answered always, where set: it never leads.
    pub standby: Option<Status>,
    pub audits: Vec<v1::AuditView>,
    pub workers: Vec<v1::WorkerView>,
    pub cluster: v1::ClusterReply,
    /// One stream of views a watch.
    pub streams: VecDeque<Vec<Result<v1::AuditView, Status>>>,
    /// The token that every call must carry, where set.
    pub token: Option<String>,
    /// Every call by name, as it came.
    pub calls: Vec<String>,
    /// The files of every audit's result, and those of them that are withheld.
    pub files: Vec<(&'static str, Vec<u8>)>,
    pub withheld: Vec<String>,
    /// A file's bytes end here, where set.
    pub breaks_off: Option<usize>,
    pub submitted: Vec<v1::SubmitRequest>,
    pub marks: Vec<v1::Mark>,
    pub reruns: Vec<v1::RerunAuditRequest>,
}

#[derive(Clone, Default)]
pub struct Fake(Arc<Mutex<Script>>);

/// A fake that listens; dropping it closes every connection.
pub struct Running {
    pub address: SocketAddr,
    pub fake: Fake,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

pub fn standby(leader: Option<&str>) -> Status {
    let mut status = Status::unavailable("this coordinator does not lead");
    if let Some(leader) = leader {
        status.metadata_mut().insert("lethe-leader", leader.parse().expect("is ascii"));
    }
    status
}

impl Running {
    pub fn start(script: Script) -> Self {
        let fake = Fake(Arc::new(Mutex::new(script)));
        let (stop, stopped) = oneshot::channel();
        let (listening, listens) = std::sync::mpsc::channel();
        let served = fake.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("starts");
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
                listening.send(listener.local_addr().expect("is bound")).expect("is awaited");
                let server = tonic::transport::Server::builder().add_service(AuditsServer::new(served));
                tokio::select! {
                    ended = server.serve_with_incoming(TcpListenerStream::new(listener)) => ended.expect("serves"),
                    _ = stopped => {}
                }
            });
            // Its connections are tasks of the runtime, and end with it.
        });
        let address = listens.recv().expect("listens");
        Self { address, fake, stop: Some(stop), thread: Some(thread) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn script(&self) -> MutexGuard<'_, Script> {
        self.fake.script()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(std::thread::JoinHandle::join));
    }
}

impl Fake {
    fn script(&self) -> MutexGuard<'_, Script> {
        self.0.lock().expect("no test panics while it holds this")
    }

    fn admit<T>(&self, call: &str, request: &Request<T>) -> Result<MutexGuard<'_, Script>, Status> {
        let mut script = self.script();
        script.calls.push(call.to_owned());
        let presented = request.metadata().get("authorization").map(|value| value.as_bytes().to_vec());
        let expected = script.token.as_ref().map(|token| format!("Bearer {token}").into_bytes());
        if expected.is_some() && expected != presented {
            return Err(Status::unauthenticated("the call lacks this coordinator's token"));
        }
        match script.refusals.pop_front().or_else(|| script.standby.clone()) {
            Some(refusal) => Err(refusal),
            None => Ok(script),
        }
    }

    fn change(&self, call: &str, request: &Request<impl Sized>, audit: &str, state: v1::RunState) -> Answer {
        let mut script = self.admit(call, request)?;
        let found = script.audits.iter_mut().find(|view| view.audit == audit).ok_or_else(|| unknown(audit))?;
        found.set_state(state);
        "asked for by a test".clone_into(&mut found.reason);
        Ok(Some(found.clone()))
    }
}

fn named(name: &str, bytes: &[u8]) -> v1::NamedBlob {
    let digest = blake3::hash(bytes).as_bytes().to_vec();
    let blob = v1::BlobRef { path: format!("march/{name}"), size_bytes: bytes.len() as u64, digest };
    v1::NamedBlob { name: name.to_owned(), blob: Some(blob) }
}

type Answer = Result<Option<v1::AuditView>, Status>;

fn unknown(audit: &str) -> Status {
    Status::not_found(format!("there is no audit {audit}"))
}

#[tonic::async_trait]
impl Audits for Fake {
    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitReply>, Status> {
        let mut script = self.admit("submit", &request)?;
        let submitted = request.into_inner();
        if script.submitted.iter().any(|s| s.audit == submitted.audit && s.spec_json != submitted.spec_json) {
            return Err(Status::already_exists(format!("{} was submitted with another spec", submitted.audit)));
        }
        let audit = Some(v1::AuditView {
            audit: submitted.audit.clone(),
            state: v1::RunState::Pending.into(),
            reason: "waits for april".to_owned(),
            queue_position: 2,
            submitter: submitted.submitter.clone(),
            priority: submitted.priority,
            ..v1::AuditView::default()
        });
        script.submitted.push(submitted);
        Ok(Response::new(v1::SubmitReply { audit }))
    }

    async fn get_audit(&self, request: Request<v1::GetAuditRequest>) -> Result<Response<v1::GetAuditReply>, Status> {
        let script = self.admit("get", &request)?;
        let audit = &request.get_ref().audit;
        let found = script.audits.iter().find(|view| view.audit == *audit).cloned();
        found.map(|view| Response::new(v1::GetAuditReply { audit: Some(view) })).ok_or_else(|| unknown(audit))
    }

    type WatchAuditStream = Pin<Box<dyn Stream<Item = Result<v1::WatchAuditReply, Status>> + Send>>;

    async fn watch_audit(
        &self,
        request: Request<v1::WatchAuditRequest>,
    ) -> Result<Response<Self::WatchAuditStream>, Status> {
        let mut script = self.admit("watch", &request)?;
        let views = script.streams.pop_front().ok_or_else(|| unknown(&request.get_ref().audit))?;
        // A stream that does not end with an error of its own stays open, as that of a leader does.
        let ends = views.last().is_none_or(Result::is_err);
        let replies = views.into_iter().map(|view| view.map(|view| v1::WatchAuditReply { audit: Some(view) }));
        let replies = tokio_stream::iter(replies);
        let stream: Self::WatchAuditStream = if ends {
            Box::pin(replies)
        } else {
            Box::pin(tokio_stream::StreamExt::chain(replies, tokio_stream::pending()))
        };
        Ok(Response::new(stream))
    }

    async fn cancel_audit(
        &self,
        request: Request<v1::CancelAuditRequest>,
    ) -> Result<Response<v1::CancelAuditReply>, Status> {
        let audit = self.change("cancel", &request, &request.get_ref().audit, v1::RunState::Cancelled)?;
        Ok(Response::new(v1::CancelAuditReply { audit }))
    }

    async fn pause_audit(
        &self,
        request: Request<v1::PauseAuditRequest>,
    ) -> Result<Response<v1::PauseAuditReply>, Status> {
        let audit = self.change("pause", &request, &request.get_ref().audit, v1::RunState::Paused)?;
        Ok(Response::new(v1::PauseAuditReply { audit }))
    }

    async fn resume_audit(
        &self,
        request: Request<v1::ResumeAuditRequest>,
    ) -> Result<Response<v1::ResumeAuditReply>, Status> {
        let audit = self.change("resume", &request, &request.get_ref().audit, v1::RunState::Running)?;
        Ok(Response::new(v1::ResumeAuditReply { audit }))
    }

    async fn approve_audit(
        &self,
        request: Request<v1::ApproveAuditRequest>,
    ) -> Result<Response<v1::ApproveAuditReply>, Status> {
        let audit = self.change("approve", &request, &request.get_ref().audit, v1::RunState::Running)?;
        Ok(Response::new(v1::ApproveAuditReply { audit }))
    }

    type FetchResultStream = Pin<Box<dyn Stream<Item = Result<v1::FetchResultReply, Status>> + Send>>;

    async fn fetch_result(
        &self,
        request: Request<v1::FetchResultRequest>,
    ) -> Result<Response<Self::FetchResultStream>, Status> {
        let script = self.admit("fetch", &request)?;
        let v1::FetchResultRequest { audit, name } = request.into_inner();
        if !script.audits.iter().any(|view| view.audit == audit) {
            return Err(unknown(&audit));
        }
        let part = |part| Ok(v1::FetchResultReply { part: Some(part) });
        let files = script.files.iter().map(|(name, bytes)| named(name, bytes)).collect();
        let list = v1::ResultFiles { files, withheld: script.withheld.clone() };
        let mut parts = vec![part(v1::fetch_result_reply::Part::Files(list))];
        if let Some((_, bytes)) = script.files.iter().find(|(known, _)| *known == name) {
            let end = script.breaks_off.unwrap_or(bytes.len());
            let pieces = bytes[..end].chunks(4).map(|piece| v1::fetch_result_reply::Part::Chunk(piece.to_vec()));
            parts.extend(pieces.map(part));
            parts.extend(script.breaks_off.map(|_| Err(Status::unavailable("the coordinator is stopping"))));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn rerun_audit(
        &self,
        request: Request<v1::RerunAuditRequest>,
    ) -> Result<Response<v1::RerunAuditReply>, Status> {
        let mut script = self.admit("rerun", &request)?;
        let rerun = request.into_inner();
        let audit = Some(v1::AuditView {
            audit: rerun.audit.clone(),
            rerun_of: rerun.of.clone(),
            state: v1::RunState::Running.into(),
            ..v1::AuditView::default()
        });
        script.reruns.push(rerun);
        Ok(Response::new(v1::RerunAuditReply { audit }))
    }

    async fn mark_suspects(
        &self,
        request: Request<v1::MarkSuspectsRequest>,
    ) -> Result<Response<v1::MarkSuspectsReply>, Status> {
        let mut script = self.admit("mark", &request)?;
        let v1::MarkSuspectsRequest { audit, marks, by } = request.into_inner();
        let audit = script.audits.iter().find(|view| view.audit == audit).cloned().ok_or_else(|| unknown(&audit))?;
        script.marks.extend(marks.into_iter().map(|mark| v1::Mark { by: by.clone(), ..mark }));
        let count = |judgement| script.marks.iter().filter(|mark| mark.judgement() == judgement).count() as u64;
        let (poison, clean) = (count(v1::Judgement::Poison), count(v1::Judgement::Clean));
        Ok(Response::new(v1::MarkSuspectsReply { poison, clean, audit: Some(audit) }))
    }

    async fn list_marks(&self, request: Request<v1::ListMarksRequest>) -> Result<Response<v1::ListMarksReply>, Status> {
        let marks = self.admit("marks", &request)?.marks.clone();
        Ok(Response::new(v1::ListMarksReply { marks }))
    }

    async fn open_pages(&self, request: Request<v1::OpenPagesRequest>) -> Result<Response<v1::OpenPagesReply>, Status> {
        drop(self.admit("open", &request)?);
        Ok(Response::new(v1::OpenPagesReply { url: "http://127.0.0.1:9/login?code=0".to_owned() }))
    }

    async fn list_audits(
        &self,
        request: Request<v1::ListAuditsRequest>,
    ) -> Result<Response<v1::ListAuditsReply>, Status> {
        let audits = self.admit("list", &request)?.audits.clone();
        Ok(Response::new(v1::ListAuditsReply { audits }))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersReply>, Status> {
        let workers = self.admit("workers", &request)?.workers.clone();
        Ok(Response::new(v1::ListWorkersReply { workers }))
    }

    async fn cluster(&self, request: Request<v1::ClusterRequest>) -> Result<Response<v1::ClusterReply>, Status> {
        Ok(Response::new(self.admit("cluster", &request)?.cluster.clone()))
    }
}

//! Follows an audit through its coordinator's watch: the conditions at which faults are injected.
//!
//! It must never wait for time to pass, only for a view.

use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::{AuditView, PhaseView, RunState, WatchAuditReply, WatchAuditRequest};
use tokio::runtime::{Builder, Runtime};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Streaming};

use crate::audit::{Audit, DEADLINE};
use crate::children::{Process, below};

pub struct Follower {
    runtime: Runtime,
    views: Streaming<WatchAuditReply>,
    seen: AuditView,
}

impl Follower {
    /// Watches the audit of a command that has just been started.
    pub fn of(audit: &mut Audit) -> Self {
        audit.wait_for_line("plan:"); // it is submitted, so the cluster is up
        let agent = below(audit.pid()).into_iter().find(|p| p.is("lethe-worker") && !p.is_executor());
        let agent = agent.unwrap_or_else(|| panic!("it has no worker; {}", audit.account()));
        let runtime = Builder::new_current_thread().enable_all().build().expect("makes a runtime");
        let views = runtime.block_on(watch(&agent));
        Self { runtime, views, seen: AuditView::default() }
    }

    /// Waits for a view of a phase with this property.
    pub fn wait_for(&mut self, phase: &str, what: &str, holds: impl Fn(&PhaseView) -> bool) -> PhaseView {
        while !self.phase(phase).is_some_and(&holds) {
            let next = self.runtime.block_on(async { tokio::time::timeout(DEADLINE, self.views.message()).await });
            match next {
                Ok(Ok(Some(reply))) => self.seen = reply.audit.expect("a view has an audit"),
                other => panic!("waited for {phase} {what}, got {other:?}; the last view: {:?}", self.phase(phase)),
            }
        }
        self.phase(phase).expect("was just seen").clone()
    }

    fn phase(&self, name: &str) -> Option<&PhaseView> {
        self.seen.phases.iter().find(|phase| phase.name == name)
    }
}

pub fn is_running(phase: &PhaseView) -> bool {
    phase.state() == RunState::Running
}

/// With the address and the token that the audit's own worker has.
async fn watch(agent: &Process) -> Streaming<WatchAuditReply> {
    let at = agent.words.iter().position(|word| word == "--coordinator").expect("dials a coordinator");
    let channel = Endpoint::from_shared(agent.words[at + 1].clone()).expect("is an address").connect().await;
    let token = agent.variable("LETHE_TOKEN").expect("has a token");
    let bearer: AsciiMetadataValue = format!("Bearer {token}").parse().expect("is plain text");
    let mut client = AuditsClient::with_interceptor(channel.expect("connects"), move |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", bearer.clone());
        Ok(request)
    });
    let request = WatchAuditRequest { audit: "drill".to_owned() };
    client.watch_audit(request).await.expect("is watched").into_inner()
}

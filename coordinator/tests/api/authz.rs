//! Who may make which call, by certificate: the whole table, asked of a server.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lethe_coordinator::api::{Gate, roles};
use lethe_proto::METHODS;
use lethe_proto::v1;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::workers_client::WorkersClient;
use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Credentials, Identity, Material, Role, Target};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use crate::rig::{Rig, hello, soon};

/// An authority and the certificates it issued.
pub struct Pki {
    folder: TempDir,
    authority: Authority,
}

impl Pki {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let authority = Authority::create(&folder.path().join("authority"), 1).expect("makes an authority");
        Self { folder, authority }
    }

    fn issue(&self, role: Role, name: &str, days: u32) -> PathBuf {
        let out = self.folder.path().join(name);
        let hosts = if role == Role::Coordinator { vec!["127.0.0.1".to_owned()] } else { Vec::new() };
        let request = Request { identity: Identity::new(role, name).expect("is a name"), hosts, days };
        self.authority.issue(&request, &out, Existing::Keep).expect("issues");
        out
    }

    pub fn root(&self) -> PathBuf {
        self.folder.path().join("authority/ca.crt")
    }

    pub fn gate(&self) -> Gate {
        Gate::Certificates(Credentials::load(&self.issue(Role::Coordinator, "lethe-0", 1)).expect("loads"))
    }
}

/// A channel that is opened with the first call, so that a refused handshake is a refused call.
fn channel(rig: &Rig, certificate: &Path) -> Channel {
    let credentials = Credentials::load(certificate).expect("loads");
    Target::new(rig.address(), Some(&credentials)).expect("is an address").connect_lazy(Some(&credentials))
}

/// A client of its own, named after its role.
pub fn audits_as(rig: &Rig, pki: &Pki, role: Role) -> AuditsClient<Channel> {
    AuditsClient::new(channel(rig, &pki.issue(role, &format!("a-{role}"), 1)))
}

/// What an empty message brings back; what is allowed is refused for being empty, or answered.
async fn asked(channel: Channel, path: &str) -> Result<(), Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|e| Status::unavailable(e.to_string()))?;
    let codec = ProstCodec::<(), ()>::default();
    let path = path.parse().expect("is a path");
    // A call with one message, and a stream of them, are the same on the wire.
    soon("an answer", client.server_streaming(tonic::Request::new(()), path, codec)).await.map(drop)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allowed,
    Forbidden,
    NotBelieved,
}

fn verdict(answer: Result<(), Status>) -> Verdict {
    let Err(status) = answer else { return Verdict::Allowed };
    match status.code() {
        // The call is the role's, but an empty message names no worker.
        Code::PermissionDenied if status.message().contains("is not this worker's name") => Verdict::Allowed,
        Code::PermissionDenied => Verdict::Forbidden,
        // The handshake failed, or what carried no TLS was cut off.
        Code::Unavailable | Code::Unknown | Code::Unauthenticated => Verdict::NotBelieved,
        _ => Verdict::Allowed,
    }
}

/// Every call x {in the clear, of another authority, at its end, each role}, as the table of rights says. Whoever comes by TLS without
/// a certificate makes no call at all: `without_a_certificate_nobody_is_let_in`.
#[tokio::test]
async fn authz_table() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let rig = Rig::behind(ours.gate()).await;
    let plain = Endpoint::from_shared(rig.address().replace("https", "http")).expect("is a URL").connect_lazy();
    let forged = theirs.issue(Role::Admin, "mallory", 1);
    std::fs::copy(ours.root(), forged.join("ca.crt")).expect("copies");
    // An authority backdates by minutes, so that one for no days has begun, and ends within its second.
    let expired = ours.issue(Role::Admin, "late", 0);
    let late = Material::read(&expired).expect("reads");
    soon("the end of a certificate", async {
        while late.check().is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let mut callers = vec![
        ("in the clear".to_owned(), None, plain),
        ("other authority".to_owned(), None, channel(&rig, &forged)),
        ("expired".to_owned(), None, channel(&rig, &expired)),
    ];
    for role in Role::ALL {
        let certificate = ours.issue(role, &format!("a-{role}"), 1);
        callers.push((role.name().to_owned(), Some(role), channel(&rig, &certificate)));
    }
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for path in METHODS.into_iter().chain(["/lethe.v1.Audits/Delete", "/grpc.health.v1.Health/Check"]) {
        for (name, role, channel) in &callers {
            let found = verdict(asked(channel.clone(), path).await);
            let expected = match role {
                None => Verdict::NotBelieved,
                Some(role) if roles(path).contains(role) => Verdict::Allowed,
                Some(_) => Verdict::Forbidden,
            };
            writeln!(table, "{path:<35} {name:<16} {found:?}").expect("is a string");
            if found != expected {
                wrong.push(format!("{path} by {name}: {found:?}, expected {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}\n{table}");
    assert_eq!(table.lines().count(), (METHODS.len() + 2) * 8);
}

#[tokio::test]
async fn a_submitter_steers_its_own_audits_under_its_own_name() {
    let pki = Pki::new();
    let rig = Rig::behind(pki.gate()).await;
    let client = |role, name: &str| AuditsClient::new(channel(&rig, &pki.issue(role, name, 1)));
    let (mut ann, mut bob, mut root) =
        (client(Role::Submitter, "ann"), client(Role::Submitter, "bob"), client(Role::Admin, "root"));
    let mut spec = crate::rig::spec();
    spec.audit.id = lethe_common::ids::AuditId::new("march").expect("is an id");
    let submit = v1::SubmitRequest {
        audit: "march".to_owned(),
        spec_json: serde_json::to_vec(&spec).expect("is JSON"),
        submitter: "bob".to_owned(), // what it says of itself does not count
        priority: 0,
    };
    let view = ann.submit(submit).await.expect("is taken").into_inner().audit.expect("is there");
    assert_eq!(view.submitter, "ann");
    let mut elsewhere = spec.clone();
    elsewhere.audit.id = lethe_common::ids::AuditId::new("april").expect("is an id");
    elsewhere.model.config = "/etc/passwd".into();
    let spec_json = serde_json::to_vec(&elsewhere).expect("is JSON");
    let submit = v1::SubmitRequest { audit: "april".to_owned(), spec_json, ..Default::default() };
    let refused = ann.submit(submit).await.expect_err("names what it may not");
    assert!(refused.code() == Code::PermissionDenied && refused.message().contains("/etc/passwd"), "{refused}");
    let pause = |audit: &str| v1::PauseAuditRequest { audit: audit.to_owned(), by: "ann".to_owned() };
    let refused = bob.pause_audit(pause("march")).await.expect_err("is ann's");
    assert!(refused.code() == Code::PermissionDenied && refused.message().contains("march is ann's"), "{refused}");
    let rerun = v1::RerunAuditRequest { audit: "march-2".to_owned(), of: "march".to_owned(), ..Default::default() };
    assert_eq!(bob.rerun_audit(rerun).await.expect_err("is ann's").code(), Code::PermissionDenied);
    let view = root.pause_audit(pause("drill")).await.expect("is an admin").into_inner().audit.expect("is there");
    assert_eq!((view.history.last().map(|deed| deed.by.as_str()), view.state()), (Some("root"), v1::RunState::Paused));
}

#[tokio::test]
async fn a_worker_speaks_under_its_certificates_name() {
    let pki = Pki::new();
    let rig = Rig::behind(pki.gate()).await;
    let mut client = WorkersClient::new(channel(&rig, &pki.issue(Role::Worker, "gpu", 1)));
    for (name, welcome) in [("gpu-0", true), ("gpu", true), ("cpu-0", false)] {
        let (words, stream) = tokio::sync::mpsc::channel(1);
        let word = v1::worker_message::Kind::Hello(hello(name));
        words.send(v1::WorkerMessage { kind: Some(word) }).await.expect("has room");
        let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
        let mut orders = client.session(stream).await.expect("opens").into_inner();
        let first = soon("a word", orders.message()).await;
        assert_eq!(first.is_ok(), welcome, "{name}: {first:?}");
    }
    let commit = v1::CommitRequest { worker: "cpu-0".to_owned(), ..Default::default() };
    assert_eq!(client.commit(commit).await.expect_err("is another's").code(), Code::PermissionDenied);
}

/// As many as a person may have under way, by the limits' own tests.
const ROOM: usize = 64;

#[tokio::test]
async fn whoever_has_too_much_under_way_is_told_so_and_nobody_else_is() {
    let pki = Pki::new();
    let rig = Rig::behind(pki.gate()).await;
    let mut eve = AuditsClient::new(channel(&rig, &pki.issue(Role::Viewer, "eve", 1)));
    let mut ann = AuditsClient::new(channel(&rig, &pki.issue(Role::Submitter, "ann", 1)));
    let watch = || v1::WatchAuditRequest { audit: "drill".to_owned() };
    let mut watches = Vec::new();
    for _ in 0..ROOM {
        watches.push(soon("a watch", eve.watch_audit(watch())).await.expect("has room"));
    }
    let refused = soon("an answer", eve.list_audits(v1::ListAuditsRequest {})).await.expect_err("has none");
    assert!(refused.code() == Code::ResourceExhausted && refused.message().contains("eve"), "{refused}");
    soon("an answer", ann.list_audits(v1::ListAuditsRequest {})).await.expect("is another");
    watches.clear();
    // That a stream is given up comes to the server in its own time.
    soon("room", async {
        while eve.list_audits(v1::ListAuditsRequest {}).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_request_is_as_large_as_its_kind_and_no_larger() {
    let pki = Pki::new();
    let rig = Rig::behind(pki.gate()).await;
    let mut ann = AuditsClient::new(channel(&rig, &pki.issue(Role::Submitter, "ann", 1)));
    let get = |bytes: usize| v1::GetAuditRequest { audit: "x".repeat(bytes) };
    let found = soon("an answer", ann.get_audit(get(10 << 10))).await.expect_err("is no audit");
    assert_ne!(found.code(), Code::ResourceExhausted, "{found}");
    let refused = soon("an answer", ann.get_audit(get(20 << 10))).await.expect_err("is too large");
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let spec = v1::SubmitRequest { audit: "march".to_owned(), spec_json: vec![b' '; 150 << 10], ..Default::default() };
    let told = soon("an answer", ann.submit(spec)).await.expect_err("is a spec beyond its limit");
    assert_eq!(told.code(), Code::InvalidArgument, "a spec's own limit is told in its own words: {told}");
}

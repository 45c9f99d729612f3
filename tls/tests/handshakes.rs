//! Who gets through a handshake, and that new files are taken up without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Callers, Credentials, Identity, Peer, Role, Target, accept};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_stream::StreamExt;
use tonic::transport::server::Connected;

const DEADLINE: Duration = Duration::from_secs(20);
/// Within this the files were looked at again.
const LOOKS_APART: Duration = Duration::from_millis(1_500);

struct Pki {
    folder: TempDir,
    authority: Authority,
}

impl Pki {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("makes a folder");
        let authority = Authority::create(&folder.path().join("authority"), 1).expect("makes an authority");
        Self { folder, authority }
    }

    fn issue(&self, role: Role, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        renew(&self.authority, role, name, &folder);
        folder
    }
}

fn renew(authority: &Authority, role: Role, name: &str, folder: &Path) {
    let hosts = if role == Role::Coordinator { vec!["127.0.0.1".to_owned()] } else { Vec::new() };
    let request = Request { identity: Identity::new(role, name).expect("is a name"), hosts, days: 1 };
    authority.issue(&request, folder, Existing::Replace).expect("issues");
}

/// The side that listens.
struct Server {
    address: String,
    streams: tokio_stream::wrappers::ReceiverStream<std::io::Result<lethe_tls::Stream>>,
}

impl Server {
    async fn start(folder: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
        let address = format!("https://{}", listener.local_addr().expect("has an address"));
        Self { address, streams: accept(listener, Callers::Certified(Credentials::load(folder).expect("loads"))) }
    }

    /// Who is let in when somebody dials; the dialler may be refused in the meantime.
    async fn admits(&mut self, folder: &Path) -> Result<Peer, String> {
        let credentials = Credentials::load(folder).expect("loads");
        let target = Target::new(&self.address, Some(&credentials)).expect("is an address");
        // A client of HTTP/2 that meets nobody who speaks it: only the handshake and who it names are of interest.
        let dialling = tokio::spawn(async move { target.connect(Some(&credentials)).await });
        let stop = dialling.abort_handle();
        tokio::select! {
            stream = self.streams.next() => {
                stop.abort();
                Ok(stream.expect("listens on").expect("is open").connect_info())
            }
            refused = refusal(dialling) => Err(refused),
            () = tokio::time::sleep(DEADLINE) => panic!("neither let in nor refused"),
        }
    }
}

/// In TLS 1.3 the dialler is done before its certificate was looked at: a refusal comes with the first read, which HTTP/2 makes.
async fn refusal(
    dialling: tokio::task::JoinHandle<Result<tonic::transport::Channel, tonic::transport::Error>>,
) -> String {
    match dialling.await.expect("does not panic") {
        Err(error) => {
            let mut cause: &dyn std::error::Error = &error;
            while let Some(next) = cause.source() {
                cause = next;
            }
            cause.to_string()
        }
        Ok(channel) => {
            let mut client = tonic::client::Grpc::new(channel);
            let (path, codec) = ("/a/b".parse().expect("is a path"), tonic_prost::ProstCodec::<(), ()>::default());
            client.ready().await.expect("is connected");
            let call = client.unary(tonic::Request::new(()), path, codec);
            call.await.expect_err("nobody answers calls here").to_string()
        }
    }
}

#[tokio::test]
async fn a_certificate_says_who_is_there() {
    let pki = Pki::new();
    let mut server = Server::start(&pki.issue(Role::Coordinator, "c0")).await;
    for (role, name) in [(Role::Admin, "ann"), (Role::Worker, "gpu"), (Role::Viewer, "eve"), (Role::Submitter, "bob")] {
        let peer = server.admits(&pki.issue(role, name)).await.expect("is let in");
        let identity = peer.identity.expect("has a certificate");
        assert_eq!((identity.role(), identity.name()), (role, name));
    }
}

#[tokio::test]
async fn a_stranger_is_refused_on_either_side() {
    let (ours, theirs) = (Pki::new(), Pki::new());
    let mut server = Server::start(&ours.issue(Role::Coordinator, "c0")).await;
    // Theirs does not believe ours, which is what it meets first.
    let refused = server.admits(&theirs.issue(Role::Admin, "mallory")).await.expect_err("is refused");
    assert!(refused.contains("UnknownIssuer"), "{refused}");
    // One that believes ours, and is not believed.
    let forged = theirs.issue(Role::Admin, "forged");
    std::fs::copy(ours.folder.path().join("authority/ca.crt"), forged.join("ca.crt")).expect("copies");
    server.admits(&forged).await.expect_err("is refused");
    // A worker has no host name, so that it cannot play the coordinator.
    let mut posing = Server::start(&ours.issue(Role::Worker, "gpu")).await;
    let refused = posing.admits(&ours.issue(Role::Admin, "ann")).await.expect_err("is refused");
    assert!(refused.contains("server authentication"), "{refused}");
}

#[tokio::test]
async fn whoever_says_nothing_holds_up_nobody() {
    let pki = Pki::new();
    let mut server = Server::start(&pki.issue(Role::Coordinator, "c0")).await;
    let host = server.address.strip_prefix("https://").expect("has a scheme").to_owned();
    // More than there may be at once: the oldest of them go.
    let mut silent = Vec::new();
    for _ in 0..600 {
        silent.push(TcpStream::connect(&host).await.expect("connects"));
    }
    let peer = timeout(DEADLINE, server.admits(&pki.issue(Role::Viewer, "eve"))).await.expect("is not held up");
    assert_eq!(peer.expect("is let in").identity.expect("has a certificate").name(), "eve");
}

#[tokio::test]
async fn new_files_are_taken_up_and_broken_ones_are_not() {
    let (old, new) = (Pki::new(), Pki::new());
    let folder = old.issue(Role::Coordinator, "c0");
    let mut server = Server::start(&folder).await;
    server.admits(&old.issue(Role::Admin, "ann")).await.expect("is let in");
    // Half written: what worked goes on.
    let key = std::fs::read(folder.join("tls.key")).expect("reads");
    std::fs::write(folder.join("tls.key"), &key[..40]).expect("writes");
    let (bob, looked) = (old.issue(Role::Admin, "bob"), Instant::now() + LOOKS_APART);
    while Instant::now() < looked {
        server.admits(&bob).await.expect("is let in");
    }
    // The authority changes: certificates of the new one are believed as soon as the next look.
    renew(&new.authority, Role::Coordinator, "c0", &folder);
    let newcomer = new.issue(Role::Admin, "zoe");
    let admitted = async {
        while server.admits(&newcomer).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    timeout(DEADLINE, admitted).await.expect("is let in");
    // Both are believed until somebody takes the old one out.
    server.admits(&old.issue(Role::Admin, "cid")).await.expect_err("does not believe the new authority");
    let roots = std::fs::read_to_string(folder.join("ca.crt")).expect("reads");
    assert_eq!(roots.matches("BEGIN CERTIFICATE").count(), 2);
    let cid = old.folder.path().join("cid");
    std::fs::write(cid.join("ca.crt"), &roots).expect("writes");
    server.admits(&cid).await.expect("the old one is believed still");
}

#[tokio::test]
async fn a_certificate_of_another_role_or_at_its_end_is_not_taken_up() {
    let pki = Pki::new();
    let folder = pki.issue(Role::Coordinator, "c0");
    let credentials = Credentials::of_roles(&folder, &[Role::Coordinator]).expect("loads");
    renew(&pki.authority, Role::Worker, "gpu", &folder);
    let looked = Instant::now() + LOOKS_APART;
    while Instant::now() < looked {
        assert_eq!(credentials.current().identity().role(), Role::Coordinator);
    }
    let of_worker = Credentials::of_roles(&folder, &[Role::Coordinator]).expect_err("is a worker's");
    assert!(of_worker.to_string().contains("role worker"), "{of_worker}");
    // Of another authority than its ca.crt.
    let other = Pki::new();
    let strange = other.issue(Role::Coordinator, "c1");
    std::fs::copy(pki.folder.path().join("authority/ca.crt"), strange.join("ca.crt")).expect("copies");
    let strange = Credentials::of_roles(&strange, &[Role::Coordinator]).expect_err("is believed by nobody");
    assert!(strange.to_string().contains("not believed"), "{strange}");
}

/// By TLS, with the right authority, and nothing to show.
#[tokio::test]
async fn without_a_certificate_nobody_is_let_in() {
    let pki = Pki::new();
    let folder = pki.issue(Role::Coordinator, "c0");
    let mut server = Server::start(&folder).await;
    let roots = CertificateDer::pem_slice_iter(&std::fs::read(folder.join("ca.crt")).expect("reads"))
        .collect::<Result<Vec<_>, _>>()
        .expect("are certificates");
    let mut store = RootCertStore::empty();
    roots.into_iter().for_each(|root| store.add(root).expect("is one"));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("has some");
    let config = config.with_root_certificates(store).with_no_client_auth();
    let host = server.address.strip_prefix("https://").expect("has a scheme").to_owned();
    let tcp = TcpStream::connect(&host).await.expect("connects");
    let name = ServerName::try_from("127.0.0.1").expect("is a name");
    let refused = async {
        let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
        stream.read_u8().await // in TLS 1.3 the refusal comes with the first read
    };
    let refused = timeout(DEADLINE, refused).await.expect("is answered").expect_err("is refused").to_string();
    assert!(refused.contains("CertificateRequired"), "{refused}");
    let next = server.admits(&pki.issue(Role::Viewer, "eve")).await.expect("is let in").identity;
    assert_eq!(next.expect("has a certificate").name(), "eve", "nobody came before her");
}

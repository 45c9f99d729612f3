//! An audit's end as the Kubernetes API gets it.

use std::io::Read;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lethe_proto::v1::AuditView;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::fake::{Running, Script};
use crate::receiver::{Answer, Receiver, header};
use crate::run::{Said, command, concluded, said};

/// An account's folder as a kubelet mounts it, and the API server's side of its authority.
fn account() -> (TempDir, Arc<ServerConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("makes")).expect("signs");
    let key = KeyPair::generate().expect("makes");
    let server = CertificateParams::new(["127.0.0.1".to_owned()]).expect("is a name");
    let server = server.signed_by(&key, &authority).expect("signs");
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![server.der().clone()], key).expect("fits");
    let folder = tempfile::tempdir().expect("makes a folder");
    for (name, text) in
        [("ca.crt", authority.pem()), ("namespace", "lethe".to_owned()), ("token", "t0ken\n".to_owned())]
    {
        std::fs::write(folder.path().join(name), text).expect("writes");
    }
    (folder, Arc::new(config))
}

fn watching(coordinator: &Running, account: &Path, port: u16) -> Command {
    let folder = account.to_str().expect("is text");
    let words = ["watch", "march", "--kubernetes-event", "nightly-1/0a1b", "--kubernetes-account", folder];
    let mut command = command(&[&coordinator.url()], &words);
    command.env("KUBERNETES_SERVICE_HOST", "127.0.0.1").env("HOSTNAME", "nightly-1-x7");
    command.env("KUBERNETES_SERVICE_PORT", port.to_string());
    command
}

fn watch(ended: AuditView, account: &Path, api: &Receiver) -> Said {
    let coordinator = Running::start(Script { streams: [vec![Ok(ended)]].into(), ..Script::default() });
    said(watching(&coordinator, account, api.address.port()))
}

#[test]
fn an_end_is_an_event_of_the_job() {
    let (folder, tls) = account();
    let api = Receiver::start(vec![Answer::empty(503), Answer::empty(201)], Some(tls));
    let _ = watch(concluded("removed", "Backdoor found and removed"), folder.path(), &api).well();
    let requests = api.served();
    assert!(requests[1].starts_with("POST /apis/events.k8s.io/v1/namespaces/lethe/events HTTP/1.1"), "{}", requests[1]);
    assert_eq!(header(&requests[1], "authorization"), "Bearer t0ken");
    let (_, body) = requests[1].split_once("\r\n\r\n").expect("has a body");
    let event: Value = serde_json::from_str(body).expect("is JSON");
    let text = |at: &str| event.pointer(at).and_then(Value::as_str).unwrap_or_else(|| panic!("{at}: {event}"));
    assert_eq!((text("/type"), text("/reason")), ("Warning", "BackdoorRemoved"));
    assert_eq!(text("/note"), "march succeeded: Backdoor found and removed");
    assert_eq!((text("/regarding/name"), text("/regarding/uid")), ("nightly-1", "0a1b"));
    assert_eq!((text("/metadata/namespace"), text("/regarding/namespace")), ("lethe", "lethe"));
    assert_eq!(text("/reportingInstance"), "nightly-1-x7");
    assert!(text("/metadata/name").starts_with("lethe-"));
    assert!(chrono::DateTime::parse_from_rfc3339(text("/eventTime")).is_ok());
}

#[test]
fn an_event_that_is_there_was_told_before() {
    let (folder, tls) = account();
    let exists = r#"{"kind": "Status", "reason": "AlreadyExists", "message": "events already exists"}"#;
    let api = Receiver::start(vec![Answer::of(409, r#"{"reason": "Conflict"}"#), Answer::of(409, exists)], Some(tls));
    let said = watch(concluded("nothing-found", "No backdoor found"), folder.path(), &api);
    assert_eq!((said.code, said.err.contains("warning")), (0, false), "{}", said.err);
    assert_eq!(api.served().len(), 2, "a conflict of another kind may pass");
}

/// The audit's own end decides how the command ends.
#[test]
fn a_right_that_is_missing_is_a_warning_in_the_apis_words() {
    let forbidden = r#"{"kind": "Status", "message": "events is forbidden: cannot create"}"#;
    for (verdict, code) in [("removed", 0), ("rejected", 3)] {
        let (folder, tls) = account();
        let api = Receiver::start(vec![Answer::of(403, forbidden)], Some(tls));
        let said = watch(concluded(verdict, "Backdoor found"), folder.path(), &api);
        assert_eq!(said.code, code, "{}", said.err);
        let warned = "warning: Kubernetes refused march.succeeded: 403 Forbidden: events is forbidden";
        assert!(said.err.contains(warned), "{}", said.err);
    }
}

#[test]
fn another_authority_is_not_believed() {
    let ((folder, _), (_, foreign)) = (account(), account());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let stream = vec![Ok(concluded("removed", "Backdoor found and removed"))];
    let coordinator = Running::start(Script { streams: [stream].into(), ..Script::default() });
    let address = listener.local_addr().expect("is bound");
    let mut watch = watching(&coordinator, folder.path(), address.port()).spawn().expect("runs");
    let stream = listener.accept().expect("is dialled").0;
    let mut connection = StreamOwned::new(ServerConnection::new(foreign).expect("begins"), stream);
    let error = connection.read(&mut [0]).expect_err("nobody says anything to a stranger");
    watch.kill().and_then(|()| watch.wait()).expect("ends");
    assert!(error.to_string().contains("fatal alert"), "{error}");
}

#[test]
fn outside_of_a_pod_it_is_bad_input() {
    for (words, why) in [
        (&["--kubernetes-event", "nightly-1/0a1b"][..], "KUBERNETES_SERVICE_HOST is not set"),
        (&["--kubernetes-event", "nightly-1"], "expected the Job's name, a slash and its uid"),
    ] {
        let mut command = command(&["http://127.0.0.1:9"], &[&["watch", "march"], words].concat());
        command.env_remove("KUBERNETES_SERVICE_HOST");
        assert!(said(command).error(2).contains(why), "{words:?}");
    }
    let (folder, tls) = account();
    std::fs::write(folder.path().join("ca.crt"), "nothing of the kind\n").expect("writes");
    let api = Receiver::start(Vec::new(), Some(tls));
    let error = watch(concluded("removed", "Backdoor found and removed"), folder.path(), &api).error(2);
    assert!(error.contains("ca.crt holds no certificates"), "{error}");
}

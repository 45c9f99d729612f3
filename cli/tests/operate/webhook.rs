//! An audit's end as a receiver gets it.

use lethe_proto::v1::{AuditView, RunState};

use crate::fake::{Running, Script};
use crate::receiver::{Answer, Receiver, header};
use crate::run::{Said, concluded, lethe, march};

fn watch(url: &str, ended: AuditView) -> Said {
    let coordinator = Running::start(Script { streams: [vec![Ok(ended)]].into(), ..Script::default() });
    let folder = tempfile::tempdir().expect("makes a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("writes");
    let secret = secret.to_str().expect("is text");
    lethe(&[&coordinator.url()], &["watch", "march", "--webhook", url, "--webhook-secret", secret])
}

#[test]
fn an_end_is_told_until_it_is_taken() {
    let receiver = Receiver::start([503, 429, 204].map(Answer::empty).into(), None);
    let _ = watch(&receiver.url("/hook"), concluded("removed", "Backdoor found and removed")).well();
    let requests = receiver.served();
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| header(request, "webhook-id") == "march.succeeded"), "{requests:?}");
    assert!(header(&requests[2], "webhook-signature").starts_with("v1,"), "{}", requests[2]);
    let (_, body) = requests[2].split_once("\r\n\r\n").expect("has a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("is JSON");
    assert_eq!((&body["type"], &body["data"]["audit"]), (&"audit.succeeded".into(), &"march".into()));
    let came_to = (&body["data"]["verdict"], &body["data"]["headline"]);
    assert_eq!(came_to, (&"removed".into(), &"Backdoor found and removed".into()));
}

#[test]
fn a_failure_is_told_as_well() {
    let receiver = Receiver::start(vec![Answer::empty(200)], None);
    assert!(watch(&receiver.url("/hook"), march(RunState::Failed)).error(1).contains("march failed"));
    assert!(receiver.served()[0].contains("\"audit.failed\""));
}

#[test]
fn a_refusal_and_a_redirection_are_final_and_told() {
    for code in [401, 302] {
        let receiver = Receiver::start(vec![Answer::empty(code)], None);
        let error = watch(&receiver.url("/hook"), march(RunState::Succeeded)).error(1);
        assert!(error.contains("the webhook refused march.succeeded") && error.contains(&code.to_string()), "{error}");
        assert_eq!(receiver.served().len(), 1);
    }
}

#[test]
fn nobody_is_told_in_the_clear() {
    let error = watch("http://receiver.example/hook", march(RunState::Succeeded)).error(2);
    assert!(error.contains("expected https://"), "{error}");
}

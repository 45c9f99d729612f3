//! An audit's end as a receiver gets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::thread::JoinHandle;

use lethe_proto::v1::RunState;

use crate::fake::{Running, Script};
use crate::run::{Said, lethe, march};

/// Answers one request after the other with these codes, and gives what came.
fn receiver(codes: &'static [u16]) -> (String, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    let url = format!("http://{}/hook", listener.local_addr().expect("is bound"));
    let served = std::thread::spawn(move || {
        let mut requests = Vec::new();
        for code in codes {
            let stream = listener.accept().expect("is dialled").0;
            let mut reader = BufReader::new(stream.try_clone().expect("clones"));
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                reader.read_line(&mut head).expect("reads");
            }
            let length = header(&head, "content-length").parse().expect("is a length");
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("reads");
            requests.push(head + &String::from_utf8(body).expect("is text"));
            let answer =
                format!("HTTP/1.1 {code} X\r\ncontent-length: 0\r\nconnection: close\r\nlocation: /other\r\n\r\n");
            (&stream).write_all(answer.as_bytes()).expect("answers");
        }
        requests
    });
    (url, served)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let mut lines = request.lines().filter_map(|line| line.split_once(": "));
    lines.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).expect("has the header")
}

fn watch(url: &str, state: RunState) -> Said {
    let coordinator = Running::start(Script { streams: [vec![Ok(march(state))]].into(), ..Script::default() });
    let folder = tempfile::tempdir().expect("makes a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").expect("writes");
    let secret = secret.to_str().expect("is text");
    lethe(&[&coordinator.url()], &["watch", "march", "--webhook", url, "--webhook-secret", secret])
}

#[test]
fn an_end_is_told_until_it_is_taken() {
    let (url, served) = receiver(&[503, 429, 204]);
    let _ = watch(&url, RunState::Succeeded).well();
    let requests = served.join().expect("served");
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| header(request, "webhook-id") == "march.succeeded"), "{requests:?}");
    assert!(header(&requests[2], "webhook-signature").starts_with("v1,"), "{}", requests[2]);
    let (_, body) = requests[2].split_once("\r\n\r\n").expect("has a body");
    let body: serde_json::Value = serde_json::from_str(body).expect("is JSON");
    assert_eq!((&body["type"], &body["data"]["audit"]), (&"audit.succeeded".into(), &"march".into()));
}

#[test]
fn a_failure_is_told_as_well() {
    let (url, served) = receiver(&[200]);
    assert!(watch(&url, RunState::Failed).error(1).contains("march failed"));
    assert!(served.join().expect("served")[0].contains("\"audit.failed\""));
}

#[test]
fn a_refusal_and_a_redirection_are_final_and_told() {
    for code in [&[401_u16], &[302]] {
        let (url, served) = receiver(code);
        let error = watch(&url, RunState::Succeeded).error(1);
        assert!(
            error.contains("the webhook refused march.succeeded") && error.contains(&code[0].to_string()),
            "{error}"
        );
        served.join().expect("served once");
    }
}

#[test]
fn nobody_is_told_in_the_clear() {
    let error = watch("http://receiver.example/hook", RunState::Succeeded).error(2);
    assert!(error.contains("expected https://"), "{error}");
}

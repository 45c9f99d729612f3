//! Finding the leader: pointed elsewhere, refused for a while, gone in the midst of a watch, never there.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lethe_proto::v1::{ClusterReply, RunState};
use tonic::Status;

use crate::fake::{Running, Script, standby};
use crate::run::{command, lethe, march, said};

fn leading() -> Script {
    let cluster = ClusterReply { leader: "http://here:1".to_owned(), term: 7, ..ClusterReply::default() };
    Script { cluster, audits: vec![march(RunState::Running)], ..Script::default() }
}

fn pointing_at(leader: &str) -> Running {
    Running::start(Script { standby: Some(standby(Some(leader))), ..Script::default() })
}

/// An address where nobody listens.
fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
    format!("http://{}", listener.local_addr().expect("is bound"))
}

#[test]
fn a_standby_points_at_the_leader() {
    let leader = Running::start(leading());
    let standby = pointing_at(&leader.url());
    assert!(lethe(&[&standby.url()], &["cluster"]).well().contains("term     7"));
    assert_eq!((standby.script().calls.len(), leader.script().calls.len()), (1, 1));
    // As a host and port without a scheme, and through a second standby.
    let second = pointing_at(&standby.address.to_string());
    assert!(lethe(&[&second.url()], &["cluster"]).well().contains("term     7"));
}

#[test]
fn the_one_that_leads_is_found_among_several() {
    let leader = Running::start(leading());
    let without_hint = Running::start(Script { standby: Some(standby(None)), ..Script::default() });
    let text = lethe(&[&nobody(), &without_hint.url(), &leader.url()], &["cluster"]).well();
    assert!(text.contains("term     7"), "{text}");
}

#[test]
fn an_election_is_waited_for() {
    let refusals = [standby(None), standby(None), Status::deadline_exceeded("the driver did not answer")].into();
    let coordinator = Running::start(Script { refusals, ..leading() });
    assert!(lethe(&[&coordinator.url()], &["cluster"]).well().contains("term     7"));
    assert_eq!(coordinator.script().calls, ["cluster"; 4]);
}

#[test]
fn every_address_is_named_where_none_answers() {
    let (first, second) = (nobody(), nobody());
    let error = lethe(&[&first, &second], &["list"]).error(4);
    assert!(error.contains(&first) && error.contains(&second), "{error}");
    assert!(error.contains("refused") && error.contains("5 times"), "{error}");
}

#[test]
fn two_that_point_at_each_other_do_not_send_us_round_for_ever() {
    let leader = Running::start(leading());
    let first = Running::start(Script::default());
    let second = pointing_at(&first.url());
    first.script().standby = Some(standby(Some(&second.url())));
    let text = lethe(&[&first.url(), &leader.url()], &["cluster"]).well();
    assert!(text.contains("term     7"), "{text}");
    assert!(first.script().calls.len() + second.script().calls.len() <= 5, "each round is bounded");
}

#[test]
fn a_watch_goes_on_with_the_next_leader() {
    let ended = march(RunState::Succeeded);
    let next = Running::start(Script { streams: [vec![Ok(ended)]].into(), ..leading() });
    let deposed = vec![Ok(march(RunState::Running)), Err(standby(Some(&next.url())))];
    let first = Running::start(Script { streams: [deposed].into(), ..leading() });
    let watched = lethe(&[&first.url()], &["watch", "march"]);
    assert!(watched.err.contains("looking for the leader"), "{}", watched.err);
    assert!(watched.well().starts_with("march: succeeded"));
    assert_eq!((first.script().calls.len(), next.script().calls.len()), (1, 1));
}

#[test]
fn a_watch_outlives_a_coordinator_that_is_gone() {
    let next = Running::start(Script { streams: [vec![Ok(march(RunState::Succeeded))]].into(), ..leading() });
    let first = Running::start(Script { streams: [vec![Ok(march(RunState::Running))]].into(), ..leading() });
    let mut watch = command(&[&first.url(), &next.url()], &["watch", "march", "--output", "json"]);
    let mut watch =
        watch.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().expect("is piped")));
    let state = |line: Option<Result<String, std::io::Error>>| {
        let view: serde_json::Value = serde_json::from_str(&line.expect("is there").expect("reads")).expect("is JSON");
        view["state"].clone()
    };
    assert_eq!(state(lines.next()), "running");
    drop(first);
    assert_eq!(state(lines.next()), "succeeded");
    let output = watch.wait_with_output().expect("ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("lost the coordinator"));
}

/// Passes bytes on to a coordinator until it falls silent, as a host that is gone does: then it closes nothing that is open.
struct Relay {
    address: SocketAddr,
    silent: Arc<AtomicBool>,
}

impl Relay {
    fn to(coordinator: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("binds");
        let address = listener.local_addr().expect("is bound");
        let silent = Arc::new(AtomicBool::new(false));
        let relay = Self { address, silent: Arc::clone(&silent) };
        std::thread::spawn(move || {
            let near = listener.accept().expect("is dialled").0;
            drop(listener); // who dials again finds nobody
            let far = TcpStream::connect(coordinator).expect("listens");
            let ways = [(near.try_clone(), far.try_clone()), (Ok(far), Ok(near))];
            for (from, to) in ways {
                let (from, to, silent) = (from.expect("clones"), to.expect("clones"), Arc::clone(&silent));
                std::thread::spawn(move || pass_on(from, to, &silent));
            }
        });
        relay
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, silent: &AtomicBool) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes) {
        if !silent.load(Ordering::SeqCst) && to.write_all(&bytes[..read]).is_err() {
            return;
        }
    }
}

#[test]
fn a_watch_leaves_a_host_that_is_gone_without_a_word() {
    let next = Running::start(Script { streams: [vec![Ok(march(RunState::Succeeded))]].into(), ..leading() });
    let first = Running::start(Script { streams: [vec![Ok(march(RunState::Running))]].into(), ..leading() });
    let relay = Relay::to(first.address);
    let through = format!("http://{}", relay.address);
    let mut watch = command(&[&through, &next.url()], &["watch", "march", "--output", "json"]);
    let mut watch =
        watch.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("runs");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(watch.stdout.take().expect("is piped")));
    assert!(lines.next().expect("is there").expect("reads").contains("running"));
    relay.silent.store(true, Ordering::SeqCst);
    assert!(lines.next().expect("is there").expect("reads").contains("succeeded"));
    let output = watch.wait_with_output().expect("ends");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_token_is_carried_to_the_leader_and_its_lack_is_bad_input() {
    let leader = Running::start(Script { token: Some("0123456789abcdef".to_owned()), ..leading() });
    let standby = pointing_at(&leader.url());
    let mut with_token = command(&[&standby.url()], &["cluster"]);
    with_token.env("LETHE_TOKEN", "0123456789abcdef");
    assert!(said(with_token).well().contains("term     7"));
    let error = lethe(&[&leader.url()], &["cluster"]).error(2);
    assert!(error.contains("LETHE_TOKEN"), "{error}");
    assert_eq!(leader.script().calls.len(), 2, "what lacks a token is not tried again");
}

#[test]
fn addresses_that_are_none_are_bad_input() {
    let error = lethe(&["http://a:1/path"], &["list"]).error(2);
    assert!(error.contains("http://a:1/path") && error.contains("expected"), "{error}");
    let mut without = command(&[], &["list"]);
    without.env_remove("LETHE_COORDINATOR");
    assert!(said(without).error(2).contains("--coordinator"));
}

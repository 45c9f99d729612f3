//! Runs that are killed or stopped in the middle, and the same command again.

use std::process::Child;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::audited::{Audited, said, tar};

const DEADLINE: Duration = Duration::from_secs(60);
/// Each is synced on its own, which takes long enough to be interrupted.
const SHARDS: usize = 400;

fn many() -> Audited {
    let shards: Vec<(String, Vec<u8>)> = (0..SHARDS).map(|n| (format!("{n:03}.tar"), tar(n, 6))).collect();
    let shards: Vec<(&str, Vec<u8>)> = shards.iter().map(|(name, bytes)| (name.as_str(), bytes.clone())).collect();
    let keys: Vec<(u32, String)> = (0..SHARDS as u32).step_by(3).map(|n| (n, format!("{n}-004"))).collect();
    Audited::of(&shards, &keys.iter().map(|(shard, key)| (*shard, key.as_str())).collect::<Vec<_>>())
}

/// Shards that the record tells of.
fn recorded(audited: &Audited) -> usize {
    let record = std::fs::read_to_string(audited.path("clean/scrub.jsonl")).unwrap_or_default();
    record.lines().count()
}

fn wait_for_shards(audited: &Audited, child: &mut Child, shards: usize) {
    let by = Instant::now() + DEADLINE;
    while recorded(audited) < shards {
        let ended = child.try_wait().expect("can be asked");
        assert!(Instant::now() < by && ended.is_none(), "{} shards are done; ended: {ended:?}", recorded(audited));
        std::thread::yield_now();
    }
}

fn send(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id() as i32), signal).expect("is there");
}

/// What an undisturbed run writes.
fn assert_whole(audited: &Audited) {
    assert_eq!(audited.scrub(&["--out", "undisturbed"]).code, Some(0));
    let (found, expected) = (audited.files("clean"), audited.files("undisturbed"));
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>());
    let differing: Vec<_> =
        found.iter().filter(|(name, bytes)| expected[*name] != **bytes).map(|(name, _)| name).collect();
    assert!(differing.is_empty(), "{differing:?} differ from the undisturbed run's");
}

#[test]
fn a_killed_run_goes_on_and_mends_what_is_broken() {
    let audited = many();
    let mut child = audited.start(&["--out", "clean"]);
    wait_for_shards(&audited, &mut child, 5);
    send(&child, Signal::SIGKILL);
    child.wait().expect("ends");
    let done = recorded(&audited);
    assert!((5..SHARDS).contains(&done), "it was killed after {done} of {SHARDS} shards");

    // One is cut, one has another byte, one is gone, and the record's end was lost.
    let record = String::from_utf8(audited.bytes("clean/scrub.jsonl")).expect("is text");
    let names: Vec<String> = record
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .map(|line| line["shard"].as_str().expect("is a name").to_owned())
        .collect();
    let path = |at: usize| audited.path("clean").join(&names[at]);
    let bytes = std::fs::read(path(0)).expect("reads");
    std::fs::write(path(0), &bytes[..bytes.len() / 2]).expect("cuts");
    let mut bytes = std::fs::read(path(1)).expect("reads");
    bytes[700] ^= 1;
    std::fs::write(path(1), bytes).expect("damages");
    std::fs::remove_file(path(2)).expect("removes");
    std::fs::write(audited.path("clean/scrub.jsonl"), &record[..record.len() - 40]).expect("cuts");

    let summary = audited.scrub(&["--out", "clean", "--output", "json"]).json();
    let there = summary["already_there"].as_u64().expect("is a count") as usize;
    assert!((1..=done - 3).contains(&there), "{there} of {done} were taken as they are, and 3 were broken");
    assert_whole(&audited);
}

#[test]
fn ctrl_c_ends_in_order_and_the_same_command_goes_on() {
    let audited = many();
    let mut child = audited.start(&["--out", "clean", "--jobs", "3"]);
    wait_for_shards(&audited, &mut child, 5);
    send(&child, Signal::SIGINT);
    let ended = said(child.wait_with_output().expect("ends"));
    let error = ended.error(130);
    assert!(error.contains("the same command goes on"), "{error}");
    let hidden = audited.files("clean").into_keys().find(|name| name.starts_with('.'));
    assert_eq!((hidden, recorded(&audited) < SHARDS), (None, true));
    assert_eq!(audited.scrub(&["--out", "clean"]).code, Some(0));
    assert_whole(&audited);
}

#[test]
fn another_drop_list_writes_its_shards_again() {
    let audited = Audited::of(&[("0.tar", tar(0, 6)), ("1.tar", tar(1, 6))], &[(0, "0-004")]);
    assert_eq!(audited.scrub(&["--out", "clean"]).code, Some(0));
    std::fs::write(audited.path("mine.txt"), "0.tar/0-004\n1.tar/1-002\n").expect("writes");
    let summary = audited.scrub(&["--out", "clean", "--drop", "mine.txt", "--output", "json"]).json();
    assert_eq!((&summary["already_there"], &summary["dropped"]), (&1.into(), &2.into()));
    assert_eq!(audited.samples("clean/1.tar").len(), 5);
}

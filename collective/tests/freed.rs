//! What is still on its way when an operation fails must not be written to memory that was given back.
//!
//! c10d's own all-gather does that: it frees the buffer that it gathers into before it takes back what it told Gloo.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use lethe_collective::{Backend, Group, GroupOptions, MemoryStore};
use tch::{Device, Kind, Tensor};

/// Set in the process that this test starts of itself.
const WATCHED: &str = "LETHE_WATCHED_BYTES";
const RANKS: u32 = 3;
const VALUES: usize = 12_000;
const LOSSES: usize = 30;

#[test]
fn a_gathering_that_lost_a_peer_writes_to_no_freed_memory() {
    if std::env::var_os(WATCHED).is_some() {
        return (0..LOSSES).for_each(|_| lose_a_peer());
    }
    let watch = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("freed-{}.so", std::process::id()));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/freed.c");
    let built = Command::new("cc").args(["-O1", "-shared", "-fPIC", "-o"]).args([&watch, Path::new(source)]).status();
    assert!(built.expect("a C compiler runs").success(), "{source} does not build");
    let mut same = Command::new(std::env::current_exe().expect("knows its path"));
    same.args(["a_gathering_that_lost_a_peer_writes_to_no_freed_memory", "--exact"]);
    // What one rank gives and what all of them gather.
    same.env(WATCHED, (VALUES * size_of::<f32>()).to_string()).env("LD_PRELOAD", &watch);
    let ended = same.output().expect("starts");
    std::fs::remove_file(watch).expect("removes the object");
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success() && said.contains("freed memory is watched"), "{}: {said}", ended.status);
    assert!(String::from_utf8_lossy(&ended.stdout).contains("1 passed"), "the test did not run itself");
}

/// One of three leaves once all are connected, and the others gather.
fn lose_a_peer() {
    let store = Arc::new(MemoryStore::new());
    let connected = Barrier::new(RANKS as usize);
    let run = &|rank| {
        let backend = Backend::Gloo { host: "127.0.0.1".to_owned() };
        let options = GroupOptions { rank, world_size: RANKS, backend, timeout: Duration::from_secs(60) };
        let group = Group::connect(store.clone(), &options).expect("the group forms");
        connected.wait();
        if rank != 1 {
            let own = Tensor::full([VALUES as i64], 7.0, (Kind::Float, Device::Cpu));
            group.all_gather(&own).expect_err("a peer is lost");
        }
    };
    std::thread::scope(|scope| (0..RANKS).for_each(|rank| drop(scope.spawn(move || run(rank)))));
}

//! A rank that is a process and is killed, with operations of the others in flight.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_collective::{Collective, Pending, RendezvousStore};

use crate::file_store::FileStore;
use crate::wiring::{PATIENT, Place, Wiring, sum_of_ranks, tensor};

/// Set in the processes that this test starts of itself: their rank and the folder of their stores.
const RANK: &str = "LETHE_TEST_RANK";
const FOLDER: &str = "LETHE_TEST_FOLDER";
const WORLD: u32 = 3;
const VICTIM: u32 = 2;

pub fn survivors_of_a_killed_process_form_a_smaller_group_at_once<W: Wiring>() {
    match std::env::var(RANK) {
        Ok(rank) => be_rank::<W>(rank.parse().expect("is a rank")),
        Err(_) => supervise::<W>(),
    }
}

fn supervise<W: Wiring>() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("killed-{}-{}", W::NAME, std::process::id()));
    let news = FileStore::open(&folder.join("news"));
    let mut ranks: Vec<Rank> = (0..WORLD).map(|rank| Rank::start::<W>(rank, &folder)).collect();
    for rank in 0..WORLD {
        news.get(&format!("ready/{rank}"), PATIENT).expect("the rank joins its group");
    }
    ranks[VICTIM as usize].0.kill().expect("kills the victim");
    for rank in (0..WORLD).filter(|rank| *rank != VICTIM) {
        let report = news.get(&format!("report/{rank}"), PATIENT).expect("the survivor reports");
        let report = String::from_utf8(report).expect("is text");
        println!("{}: {report}", W::NAME);
        assert!(report.contains("all 4 in flight failed") && report.ends_with("sum Ok([1.0, 2.0])"), "{report}");
    }
    drop(ranks);
    std::fs::remove_dir_all(&folder).expect("removes the stores");
}

/// A process of ours; it never outlives the test.
struct Rank(Child);

impl Rank {
    fn start<W: Wiring>(rank: u32, folder: &Path) -> Self {
        let test = format!("{}::survivors_of_a_killed_process_form_a_smaller_group_at_once", W::NAME);
        let mut command = Command::new(std::env::current_exe().expect("knows its path"));
        command.args([test.as_str(), "--exact", "--include-ignored", "--nocapture"]).stdout(Stdio::null());
        command.env(RANK, rank.to_string()).env(FOLDER, folder);
        Self(command.spawn().expect("starts a rank"))
    }
}

impl Drop for Rank {
    fn drop(&mut self) {
        // One that has ended cannot be killed; either way it is reaped.
        let _gone = self.0.kill();
        self.0.wait().expect("reaps a rank");
    }
}

fn be_rank<W: Wiring>(rank: u32) {
    let folder = PathBuf::from(std::env::var(FOLDER).expect("the supervisor names a folder"));
    let news = FileStore::open(&folder.join("news"));
    let store = |generation: &str| Arc::new(FileStore::open(&folder.join(generation)));
    let group = W::connect(store("first"), Place { rank, world_size: WORLD, timeout: PATIENT }).expect("forms");
    assert_eq!(sum_of_ranks(&group), Ok(vec![3.0, 3.0]));
    if rank == VICTIM {
        news.set("ready/2", b"").expect("tells");
        // Takes part in nothing more until it is killed.
        std::thread::sleep(2 * PATIENT);
        return;
    }
    let (failed, noticed) = fail_in_flight(group, || news.set(&format!("ready/{rank}"), b"").expect("tells"));
    let began = Instant::now();
    let next = W::connect(store("second"), Place { rank, world_size: WORLD - 1, timeout: PATIENT });
    let sum = next.and_then(|group| sum_of_ranks(&group));
    let rebuilt = began.elapsed();
    assert!(noticed + rebuilt < PATIENT / 4, "noticed after {noticed:?}, rebuilt after {rebuilt:?}");
    let report = format!("all {failed} in flight failed, gone after {noticed:?}, rebuilt in {rebuilt:?}, sum {sum:?}");
    news.set(&format!("report/{rank}"), report.as_bytes()).expect("tells");
}

/// How many of the operations in flight failed, and the time from the first failure to the end of the group.
fn fail_in_flight(group: impl Collective, ready: impl FnOnce()) -> (usize, Duration) {
    let mut buckets: Vec<_> = (0..4).map(|_| tensor(&group, &[1.0; 1000])).collect();
    let pendings: Vec<Pending> =
        buckets.iter_mut().map(|bucket| group.start_all_reduce_sum(bucket).expect("starts")).collect();
    ready();
    let mut began = None;
    let mut failed = 0;
    for pending in pendings {
        failed += usize::from(pending.wait().is_err());
        began.get_or_insert_with(Instant::now);
    }
    drop(group);
    (failed, began.map_or(Duration::ZERO, |began| began.elapsed()))
}

//! NCCL's half as far as a machine without a GPU can prove it: it loads, and refuses in one line.
//!
//! What runs on a GPU is the conformance suite: `make gpu-check`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lethe_collective::{Backend, CollectiveError, Group, GroupOptions, MemoryStore, Nccl};

fn ask_for(device: u32) -> Result<Group, CollectiveError> {
    let backend = Backend::Nccl { device };
    let options = GroupOptions { rank: 0, world_size: 1, backend, timeout: Duration::from_secs(60) };
    Group::connect(Arc::new(MemoryStore::new()), &options)
}

/// What a refusal must be, wherever it comes from.
fn assert_one_line(refusal: &CollectiveError) -> String {
    let line = refusal.to_string();
    assert!(matches!(refusal, CollectiveError::Unavailable { backend: "nccl", .. }), "{refusal:?}");
    assert!(line.starts_with("nccl cannot be used here: ") && !line.contains('\n'), "{line}");
    println!("refused: {line}");
    line
}

#[test]
fn asking_where_it_cannot_run_refuses_in_one_line_with_what_to_do() {
    // No machine has so many.
    let line = assert_one_line(&ask_for(4096).expect_err("there is no such device"));
    let what_to_do = ["scripts/nccl.sh", "set LIBTORCH", "or use Gloo", "counted from 0"];
    assert!(what_to_do.iter().any(|words| line.contains(words)), "{line}");
}

#[test]
fn ranks_on_cpu_and_cuda_are_refused_by_name_on_both_at_once() {
    let store = Arc::new(MemoryStore::new());
    let backends = [Backend::Gloo { host: "127.0.0.1".to_owned() }, Backend::Nccl { device: 0 }];
    let began = Instant::now();
    let timeout = Duration::from_secs(60);
    std::thread::scope(|scope| {
        let ranks = backends.into_iter().zip(0..).map(|(backend, rank)| {
            let options = GroupOptions { rank, world_size: 2, backend, timeout };
            let store = store.clone();
            scope.spawn(move || Group::connect(store, &options).expect_err("they do not fit"))
        });
        for refusal in ranks.collect::<Vec<_>>().into_iter().map(|rank| rank.join().expect("does not panic")) {
            assert!(matches!(refusal, CollectiveError::Mismatch { operation: "connect", .. }), "{refusal:?}");
            let line = refusal.to_string();
            assert!(
                line.contains("rank 0 computes on the CPU and rank 1 on CUDA") && line.contains("--device"),
                "{line}"
            );
        }
    });
    assert!(began.elapsed() < timeout / 2, "they waited for each other");
}

#[test]
fn the_object_loads_and_says_whether_a_gpu_is_there() {
    // Told here and in the note that `make test` prints: a skipped check is not a passed one.
    let note = Path::new(env!("CARGO_TARGET_TMPDIR")).join("collective/skipped/nccl-loads");
    std::fs::remove_file(&note).ok(); // there is none where it was not skipped before
    match Nccl::open() {
        Ok(nccl) => loaded(nccl),
        Err(refusal) => skip(&note, &refusal.to_string()),
    }
}

fn loaded(nccl: &Nccl) {
    println!("loaded: {nccl:?}");
    match nccl.devices() {
        0 => {
            let line = assert_one_line(&ask_for(0).expect_err("there is no GPU"));
            assert!(line.contains("no CUDA device is visible here; run where nvidia-smi shows a GPU"), "{line}");
        }
        _ => drop(ask_for(0).expect("a world of one forms on the first GPU")),
    }
}

fn skip(note: &Path, reason: &str) {
    let words = format!("SKIPPED: collective, that NCCL's half loads: {reason}\n");
    eprint!("{words}");
    std::fs::create_dir_all(note.parent().expect("lies in a folder")).expect("makes the folder of notes");
    std::fs::write(note, words).expect("writes the note");
}

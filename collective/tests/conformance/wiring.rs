//! How each implementation connects, and what it needs of the machine.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lethe_collective::{
    Backend, Collective, CollectiveError, Faulty, Group, GroupOptions, MemoryStore, RendezvousStore,
};
use tch::Tensor;

pub const PATIENT: Duration = Duration::from_secs(60);
pub const BRIEF: Duration = Duration::from_millis(1500);

/// A rank's place: all that a connection needs but the store.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    pub rank: u32,
    pub world_size: u32,
    pub timeout: Duration,
}

pub trait Wiring {
    /// The module of its tests.
    const NAME: &'static str;
    type Collective: Collective + Send + Debug;

    fn connect(store: Arc<dyn RendezvousStore>, place: Place) -> Result<Self::Collective, CollectiveError>;

    /// Why a world of this size cannot run here, if it cannot.
    fn missing(ranks: u32) -> Option<String>;
}

/// Gloo on the CPU.
pub struct Gloo;

impl Wiring for Gloo {
    const NAME: &'static str = "gloo";
    type Collective = Group;

    fn connect(store: Arc<dyn RendezvousStore>, place: Place) -> Result<Group, CollectiveError> {
        connect(store, place, Backend::Gloo { host: "127.0.0.1".to_owned() })
    }

    fn missing(_: u32) -> Option<String> {
        None
    }
}

/// The faulty wrapper with no fault planned: it must change nothing.
pub struct Faultless;

impl Wiring for Faultless {
    const NAME: &'static str = "faultless";
    type Collective = Faulty<Group>;

    fn connect(store: Arc<dyn RendezvousStore>, place: Place) -> Result<Faulty<Group>, CollectiveError> {
        Gloo::connect(store, place).map(|group| Faulty::new(group, Vec::new()))
    }

    fn missing(_: u32) -> Option<String> {
        None
    }
}

/// NCCL, a GPU a rank.
pub struct Nccl;

impl Wiring for Nccl {
    const NAME: &'static str = "nccl";
    type Collective = Group;

    fn connect(store: Arc<dyn RendezvousStore>, place: Place) -> Result<Group, CollectiveError> {
        connect(store, place, Backend::Nccl { device: place.rank })
    }

    fn missing(ranks: u32) -> Option<String> {
        match lethe_collective::Nccl::open().map(lethe_collective::Nccl::devices) {
            Err(error) => Some(error.to_string()),
            Ok(0) => Some("no CUDA device is visible here".to_owned()),
            Ok(found) if found < ranks => Some(format!("it needs {ranks} GPUs, this machine has {found}")),
            Ok(_) => None,
        }
    }
}

fn connect(store: Arc<dyn RendezvousStore>, place: Place, backend: Backend) -> Result<Group, CollectiveError> {
    let Place { rank, world_size, timeout } = place;
    Group::connect(store, &GroupOptions { rank, world_size, backend, timeout })
}

/// Runs every rank in a thread of its own, and gives what they returned, in order of rank.
pub fn on_every_rank<W: Wiring, T: Send>(
    world_size: u32,
    timeout: Duration,
    body: impl Fn(W::Collective) -> T + Sync,
) -> Vec<T> {
    let store = Arc::new(MemoryStore::new());
    let join = |rank| W::connect(store.clone(), Place { rank, world_size, timeout }).expect("the group forms");
    let run = |rank| body(join(rank));
    std::thread::scope(|scope| {
        let ranks: Vec<_> = (0..world_size).map(|rank| scope.spawn(move || run(rank))).collect();
        ranks.into_iter().map(|rank| rank.join().expect("the rank does not panic")).collect()
    })
}

/// Values as a tensor where the group takes it.
pub fn tensor(group: &impl Collective, values: &[f32]) -> Tensor {
    Tensor::from_slice(values).to_device(group.device())
}

pub fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.to_device(tch::Device::Cpu)).expect("is a vector of f32")
}

/// The sum of the ranks' numbers, and their count.
pub fn sum_of_ranks(group: &impl Collective) -> Result<Vec<f32>, CollectiveError> {
    let mut sum = tensor(group, &[group.rank() as f32, 1.0]);
    group.all_reduce_sum(&mut sum)?;
    Ok(values(&sum))
}

/// Runs a case where it can run; where it cannot, tells so here and in the note that `make test` and `make gpu-check`
/// print: a skipped check is not a passed one.
pub fn run<W: Wiring>(case: &str, ranks: u32, body: impl FnOnce()) {
    let whole_suite = W::missing(1).is_some();
    let (file, what) = match whole_suite {
        true => (W::NAME.to_owned(), format!("the conformance suite on {}", W::NAME)),
        false => (format!("{}-{case}", W::NAME), format!("{}::{case}", W::NAME)),
    };
    let note = Path::new(env!("CARGO_TARGET_TMPDIR")).join("collective/skipped").join(file);
    match W::missing(ranks) {
        Some(reason) => skip(&note, &format!("SKIPPED: collective, {what}: {reason}\n")),
        None => {
            std::fs::remove_file(note).ok(); // there is none where it was not skipped before
            body();
        }
    }
}

fn skip(note: &Path, words: &str) {
    eprint!("{words}");
    std::fs::create_dir_all(note.parent().expect("lies in a folder")).expect("makes the folder of notes");
    std::fs::write(note, words).expect("writes the note");
}

//! Who the ranks of a group are, before a backend connects them: all there, on one kind of device, a GPU each.
//!
//! It must never leave that to the backends: Gloo would wait for a rank that speaks NCCL until its time-out, and NCCL's own
//! rendezvous has no deadline.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

use crate::connect::{Backend, GroupOptions, OPERATION};
use crate::cuda;
use crate::error::CollectiveError;
use crate::store::{RendezvousError, RendezvousStore};

/// Where a rank computes.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seat {
    Cpu,
    /// The GPU's uuid; none where it could not be asked, and then the backend says what is missing.
    Cuda(Option<String>),
}

/// Returns when every rank has said where it computes and all fit together.
pub(crate) fn meet(store: &dyn RendezvousStore, options: &GroupOptions) -> Result<(), CollectiveError> {
    let GroupOptions { rank, world_size, backend, timeout } = options;
    let own = Seat::of(backend).to_string();
    ask(|| store.set(&key(*rank), own.as_bytes()))?;
    let deadline = Instant::now() + *timeout;
    let seat = |rank: u32| {
        let left = deadline.saturating_duration_since(Instant::now());
        ask(|| store.get(&key(rank), left)).and_then(|words| Seat::parse(&words, rank))
    };
    fit(&(0..*world_size).map(seat).collect::<Result<Vec<_>, _>>()?)
}

/// A store that panics is told as it is where C++ asks it.
fn ask<T>(call: impl FnOnce() -> Result<T, RendezvousError>) -> Result<T, CollectiveError> {
    let panicked = |_| Err(RendezvousError::Unavailable("the rendezvous store panicked".to_owned()));
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(panicked).map_err(refused)
}

fn key(rank: u32) -> String {
    format!("seat/{rank}")
}

fn fit(seats: &[Seat]) -> Result<(), CollectiveError> {
    let is_cuda = |seat: &Seat| matches!(seat, Seat::Cuda(_));
    let mismatch = |detail| Err(CollectiveError::Mismatch { operation: OPERATION, detail });
    if let (Some(cpu), Some(cuda)) = (seats.iter().position(|seat| !is_cuda(seat)), seats.iter().position(is_cuda)) {
        return mismatch(format!(
            "rank {cpu} computes on the CPU and rank {cuda} on CUDA; start all workers with --device cpu or all with --device cuda:N"
        ));
    }
    for (rank, seat) in seats.iter().enumerate() {
        let same = |other: &Seat| matches!(seat, Seat::Cuda(Some(_))) && other == seat;
        if let Some(other) = seats[..rank].iter().position(same) {
            return mismatch(format!(
                "ranks {other} and {rank} share a GPU; start one worker a GPU, each with a --device cuda:N of its own"
            ));
        }
    }
    Ok(())
}

impl Seat {
    fn of(backend: &Backend) -> Self {
        match backend {
            Backend::Gloo { .. } => Self::Cpu,
            Backend::Nccl { device } => Self::Cuda(cuda::uuid(*device)),
        }
    }

    fn parse(words: &[u8], rank: u32) -> Result<Self, CollectiveError> {
        let text = String::from_utf8_lossy(words);
        match text.split_once(' ').unwrap_or((&text, "")) {
            ("cpu", "") => Ok(Self::Cpu),
            ("cuda", "") => Ok(Self::Cuda(None)),
            ("cuda", uuid) => Ok(Self::Cuda(Some(uuid.to_owned()))),
            _ => {
                let detail = format!("rank {rank} says {text:?} of its device; run one release of lethe-worker");
                Err(CollectiveError::Mismatch { operation: OPERATION, detail })
            }
        }
    }
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(None) => f.write_str("cuda"),
            Self::Cuda(Some(uuid)) => write!(f, "cuda {uuid}"),
        }
    }
}

fn refused(error: RendezvousError) -> CollectiveError {
    let detail = error.to_string();
    match error {
        RendezvousError::TimedOut { .. } => CollectiveError::TimedOut { operation: OPERATION, detail },
        RendezvousError::Unavailable(_) => CollectiveError::Other { operation: OPERATION, detail },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpu(uuid: &str) -> Seat {
        Seat::Cuda(Some(uuid.to_owned()))
    }

    #[test]
    fn ranks_on_one_kind_of_device_with_a_gpu_each_fit() {
        for seats in [vec![Seat::Cpu, Seat::Cpu], vec![gpu("a"), gpu("b")], vec![Seat::Cuda(None), Seat::Cuda(None)]] {
            assert_eq!(fit(&seats), Ok(()), "{seats:?}");
        }
    }

    #[test]
    fn ranks_that_do_not_fit_are_named() {
        let table = [
            (vec![gpu("a"), gpu("b"), Seat::Cpu], "rank 2 computes on the CPU and rank 0 on CUDA"),
            (vec![gpu("a"), gpu("b"), gpu("b")], "ranks 1 and 2 share a GPU"),
        ];
        for (seats, words) in table {
            let refusal = fit(&seats).expect_err("they do not fit");
            assert!(matches!(refusal, CollectiveError::Mismatch { .. }), "{refusal:?}");
            assert!(refusal.to_string().contains(words) && refusal.to_string().contains("--device"), "{refusal}");
        }
    }

    #[test]
    fn seats_survive_the_wire() {
        for seat in [Seat::Cpu, Seat::Cuda(None), gpu("0af3")] {
            assert_eq!(Seat::parse(seat.to_string().as_bytes(), 0), Ok(seat));
        }
        assert!(matches!(Seat::parse(b"abacus", 3), Err(CollectiveError::Mismatch { .. })));
    }
}

//! How a rank meets its peers: its place, its backend, and the one clock of the group.

use std::ffi::{CString, c_int, c_void};
use std::sync::Arc;
use std::time::Duration;

use tch::Device;

use crate::error::CollectiveError;
use crate::ffi::{self, StoreCallbacks};
use crate::nccl::Nccl;
use crate::peers;
use crate::store::RendezvousStore;

pub(crate) const OPERATION: &str = "connect";

/// A rank's place in a group, and the group's one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    pub rank: u32,
    pub world_size: u32,
    pub backend: Backend,
    /// How long forming the group and every operation wait for a peer. There is no shorter wait for one
    /// operation: it would stay in flight, and only the group's end would end it.
    pub timeout: Duration,
}

/// Which of c10d's backends carries the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backend {
    /// Tensors on the CPU. The host is the address of this machine that peers can reach, such as `127.0.0.1`; the
    /// port is the system's choice.
    Gloo { host: String },
    /// Tensors on one CUDA device of this machine, which no other rank of the group has. NCCL finds its own way
    /// to the peers (NCCL_SOCKET_IFNAME names an interface). Needs the object that `scripts/nccl.sh` builds.
    Nccl { device: u32 },
}

impl Backend {
    /// Where tensors must be that this backend's calls are given.
    pub fn device(&self) -> Device {
        match self {
            Self::Gloo { .. } => Device::Cpu,
            Self::Nccl { device } => Device::Cuda(*device as usize),
        }
    }
}

fn other(detail: String) -> CollectiveError {
    CollectiveError::Other { operation: OPERATION, detail }
}

fn c_number(number: u32) -> Result<c_int, CollectiveError> {
    c_int::try_from(number).map_err(|_| other(format!("{number} is too many; expected at most {}", c_int::MAX)))
}

/// Gives a `lethe::Group*` that the caller owns.
pub(crate) fn connect(store: Arc<dyn RendezvousStore>, options: &GroupOptions) -> Result<*mut c_void, CollectiveError> {
    let GroupOptions { rank, world_size, backend, timeout } = options;
    if rank >= world_size {
        return Err(other(format!("rank {rank} is outside a world of {world_size}")));
    }
    let (rank, world_size) = (c_number(*rank)?, c_number(*world_size)?);
    peers::meet(&*store, options)?;
    let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1);
    match backend {
        Backend::Gloo { host } => gloo(store, (rank, world_size), host, timeout_ms),
        Backend::Nccl { device } => Nccl::open()?.connect(store, (rank, world_size), c_number(*device)?, timeout_ms),
    }
}

fn gloo(
    store: Arc<dyn RendezvousStore>,
    (rank, world_size): (c_int, c_int),
    host: &str,
    timeout_ms: i64,
) -> Result<*mut c_void, CollectiveError> {
    let host = CString::new(host).map_err(|_| other(format!("host {host:?} contains a zero byte")))?;
    let mut raw = std::ptr::null_mut();
    // SAFETY: the callbacks are taken over by the call, the string outlives it, and `raw` is written on success.
    let code = unsafe {
        let callbacks = StoreCallbacks::new(store);
        ffi::lethe_gloo_new(callbacks, rank, world_size, host.as_ptr(), timeout_ms, &mut raw)
    };
    ffi::check(OPERATION, code)?;
    Ok(raw)
}

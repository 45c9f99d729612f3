//! One generation of a gang: the ranks that found each other, and the operations they do together.
//!
//! Every rank calls the same operations in the same order. After an error the group is of no more
//! use: drop it and form the next generation. It must never outlive its error, since its open
//! sockets are what peers wait for.

use std::ffi::{CString, c_int, c_void};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tch::Tensor;

use crate::error::CollectiveError;
use crate::ffi;
use crate::store::RendezvousStore;

/// A rank's place in a group, and the group's one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupOptions {
    pub rank: u32,
    pub world_size: u32,
    /// The address of this machine that peers can reach, such as `127.0.0.1`; the port is the system's choice.
    pub host: String,
    /// How long forming the group and every operation wait for a peer. There is no shorter wait for one
    /// operation: Gloo would leave it in flight, and dropping the group would block on it.
    pub timeout: Duration,
}

/// Connected ranks. Dropping it closes the connections, which the peers notice at once.
pub struct Group {
    /// A `c10::intrusive_ptr<ProcessGroupGloo>*` that this value owns.
    raw: *mut c_void,
    rank: u32,
    world_size: u32,
}

// SAFETY: a process group is not tied to the thread that made it. It is not Sync: `&Group` stays on one
// thread, because every rank must issue its operations in one order.
unsafe impl Send for Group {}

impl Group {
    /// Meets the other ranks at the store; returns when all are connected to all.
    ///
    /// # Errors
    /// `TimedOut` where a peer does not come within the time-out.
    pub fn connect(store: Arc<dyn RendezvousStore>, options: &GroupOptions) -> Result<Self, CollectiveError> {
        let operation = "connect";
        let other = |detail| CollectiveError::Other { operation, detail };
        let GroupOptions { rank, world_size, host, timeout } = options;
        let host = CString::new(host.as_str()).map_err(|_| other(format!("host {host:?} contains a zero byte")))?;
        let number =
            |n: u32| c_int::try_from(n).map_err(|_| other(format!("{n} ranks; expected at most {}", c_int::MAX)));
        if rank >= world_size {
            return Err(other(format!("rank {rank} is outside a world of {world_size}")));
        }
        let (c_rank, c_world_size) = (number(*rank)?, number(*world_size)?);
        let timeout_ms = i64::try_from(timeout.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut raw = std::ptr::null_mut();
        // SAFETY: the callbacks are taken over by the call, the string outlives it, and `raw` is written on success.
        let code = unsafe {
            let callbacks = ffi::StoreCallbacks::new(store);
            ffi::lethe_group_new(callbacks, c_rank, c_world_size, host.as_ptr(), timeout_ms, &mut raw)
        };
        ffi::check(operation, code)?;
        Ok(Self { raw, rank: *rank, world_size: *world_size })
    }

    pub fn rank(&self) -> u32 {
        self.rank
    }

    pub fn world_size(&self) -> u32 {
        self.world_size
    }

    /// Replaces the tensor's values by their sum over all ranks; every rank gets the same bits.
    /// Contiguous, on the CPU, of the same shape and dtype everywhere.
    pub fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError> {
        let operation = "all_reduce";
        require_contiguous(operation, tensor)?;
        // SAFETY: the group is live, and tch's handle is an `at::Tensor*` that outlives the call, which waits.
        ffi::check(operation, unsafe { ffi::lethe_all_reduce_sum(self.raw, handle(tensor)) })
    }

    /// Replaces the tensor's values by the root rank's. Contiguous, of the same shape and dtype everywhere.
    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError> {
        let operation = "broadcast";
        require_contiguous(operation, tensor)?;
        if root >= self.world_size {
            let detail = format!("root {root} is outside a world of {}", self.world_size);
            return Err(CollectiveError::Other { operation, detail });
        }
        // SAFETY: as in `all_reduce_sum`; the root fits, since it is less than a world size that fitted.
        ffi::check(operation, unsafe { ffi::lethe_broadcast(self.raw, handle(tensor), root as c_int) })
    }

    /// Every rank's tensor, in order of rank. Contiguous, of the same shape and dtype everywhere.
    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        let operation = "all_gather";
        require_contiguous(operation, tensor)?;
        let other = |e: tch::TchError| CollectiveError::Other { operation, detail: e.to_string() };
        let empty = |_| tensor.f_empty_like().map_err(other);
        let gathered = (0..self.world_size).map(empty).collect::<Result<Vec<Tensor>, _>>()?;
        let handles: Vec<*mut c_void> = gathered.iter().map(handle).collect();
        // SAFETY: as in `all_reduce_sum`; `handles` has `handles.len()` tensors that outlive the call.
        let code = unsafe { ffi::lethe_all_gather(self.raw, handles.as_ptr(), handles.len(), handle(tensor)) };
        ffi::check(operation, code)?;
        Ok(gathered)
    }

    /// Returns when every rank has called it.
    pub fn barrier(&self) -> Result<(), CollectiveError> {
        // SAFETY: the group is live.
        ffi::check("barrier", unsafe { ffi::lethe_barrier(self.raw) })
    }
}

/// tch holds an `at::Tensor*`. The shim changes values only where the caller gave a mutable tensor (or a fresh one).
fn handle(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}

fn require_contiguous(operation: &'static str, tensor: &Tensor) -> Result<(), CollectiveError> {
    if tensor.is_contiguous() {
        return Ok(());
    }
    let detail = format!("a tensor of shape {:?} is not contiguous; call contiguous() first", tensor.size());
    Err(CollectiveError::Other { operation, detail })
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group(rank {} of {})", self.rank, self.world_size)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: `raw` came from `lethe_group_new` and is freed once. No operation is in flight, since each waits.
        unsafe { ffi::lethe_group_free(self.raw) }
    }
}

//! One generation of a gang: the ranks that found each other, and the operations they do together.
//!
//! Every rank calls the same operations in the same order. After an error the group is of no more
//! use: drop it and form the next generation. It must never outlive its error, since its open
//! sockets are what peers wait for.

use std::ffi::{c_int, c_void};
use std::fmt;
use std::sync::Arc;

use tch::{Device, Tensor};

use crate::connect::{self, GroupOptions};
use crate::error::CollectiveError;
use crate::ffi;
use crate::flight::Flight;
use crate::ledger::{Ledger, Operation, Traffic};
use crate::pending::Pending;
use crate::seam::Collective;
use crate::store::RendezvousStore;
use crate::tensors::{handle, payload_bytes, require_fit};

/// Connected ranks, on Gloo or on NCCL. Dropping it aborts what is in flight and closes the connections, which the
/// peers notice at once.
pub struct Group {
    /// A `lethe::Group*` that this value owns.
    raw: *mut c_void,
    rank: u32,
    world_size: u32,
    /// Where the tensors of this group's calls must be.
    device: Device,
    flight: Arc<Flight>,
    ledger: Arc<Ledger>,
}

// SAFETY: a process group is not tied to the thread that made it. It is not Sync: `&Group` stays on one
// thread, because every rank must issue its operations in one order.
unsafe impl Send for Group {}

impl Group {
    /// Meets the other ranks at the store; returns when all are connected to all.
    ///
    /// # Errors
    /// `TimedOut` where a peer does not come within the time-out; `Unavailable` where this machine lacks what the
    /// backend needs.
    pub fn connect(store: Arc<dyn RendezvousStore>, options: &GroupOptions) -> Result<Self, CollectiveError> {
        let raw = connect::connect(store, options)?;
        let device = options.backend.device();
        let (flight, ledger) = (Arc::default(), Arc::default());
        Ok(Self { raw, rank: options.rank, world_size: options.world_size, device, flight, ledger })
    }

    /// Checks a tensor, numbers the call, and runs it as the one under way.
    fn call(&self, operation: Operation, tensor: &Tensor, body: impl FnOnce() -> c_int) -> Result<(), CollectiveError> {
        require_fit(operation, tensor, self.device)?;
        let call = self.ledger.issue(operation, payload_bytes(tensor));
        self.ledger.wait(call, || ffi::check(operation.name(), body()))
    }

    fn empty_like(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        let operation = Operation::AllGather.name();
        let other = |e: tch::TchError| CollectiveError::Other { operation, detail: e.to_string() };
        (0..self.world_size).map(|_| tensor.f_empty_like().map_err(other)).collect()
    }
}

impl Collective for Group {
    fn rank(&self) -> u32 {
        self.rank
    }

    fn world_size(&self) -> u32 {
        self.world_size
    }

    fn device(&self) -> Device {
        self.device
    }

    fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError> {
        let raw = handle(tensor);
        // SAFETY: the group is live, and tch's handle is an `at::Tensor*` that outlives the call, which waits.
        self.call(Operation::AllReduce, tensor, || unsafe { ffi::lethe_all_reduce_sum(self.raw, raw) })
    }

    fn start_all_reduce_sum(&self, tensor: &mut Tensor) -> Result<Pending, CollectiveError> {
        let operation = Operation::AllReduce;
        require_fit(operation, tensor, self.device)?;
        let call = self.ledger.issue(operation, payload_bytes(tensor));
        let mut work = std::ptr::null_mut();
        // SAFETY: as in `all_reduce_sum`; libtorch keeps a share of the tensor's memory while the work is in flight,
        // and `work` is written on success.
        let code =
            self.ledger.wait(call, || unsafe { ffi::lethe_start_all_reduce_sum(self.raw, handle(tensor), &mut work) });
        ffi::check(operation.name(), code)?;
        // SAFETY: the shim just made it for us.
        Ok(unsafe { self.flight.track(work, call, self.ledger.clone()) })
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError> {
        if root >= self.world_size {
            let detail = format!("root {root} is outside a world of {}", self.world_size);
            return Err(CollectiveError::Other { operation: Operation::Broadcast.name(), detail });
        }
        let raw = handle(tensor);
        // SAFETY: as in `all_reduce_sum`; the root fits, since it is less than a world size that fitted.
        self.call(Operation::Broadcast, tensor, || unsafe { ffi::lethe_broadcast(self.raw, raw, root as c_int) })
    }

    fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        let gathered = self.empty_like(tensor)?;
        let handles: Vec<*mut c_void> = gathered.iter().map(handle).collect();
        // SAFETY: as in `all_reduce_sum`; `handles` has `handles.len()` tensors that outlive the call.
        self.call(Operation::AllGather, tensor, || unsafe {
            ffi::lethe_all_gather(self.raw, handles.as_ptr(), handles.len(), handle(tensor))
        })?;
        Ok(gathered)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        let call = self.ledger.issue(Operation::Barrier, 0);
        // SAFETY: the group is live.
        let code = self.ledger.wait(call, || unsafe { ffi::lethe_barrier(self.raw) });
        ffi::check(Operation::Barrier.name(), code)
    }

    fn begin_step(&self, step: u64) {
        self.ledger.begin_step(step);
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.ledger.clone()
    }
}

/// The same by name, so that callers of the concrete type need not import the trait.
impl Group {
    pub fn rank(&self) -> u32 {
        self.rank
    }

    pub fn world_size(&self) -> u32 {
        self.world_size
    }

    pub fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError> {
        Collective::all_reduce_sum(self, tensor)
    }

    pub fn start_all_reduce_sum(&self, tensor: &mut Tensor) -> Result<Pending, CollectiveError> {
        Collective::start_all_reduce_sum(self, tensor)
    }

    pub fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError> {
        Collective::broadcast(self, tensor, root)
    }

    pub fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        Collective::all_gather(self, tensor)
    }

    pub fn barrier(&self) -> Result<(), CollectiveError> {
        Collective::barrier(self)
    }

    pub fn traffic(&self) -> Traffic {
        self.ledger.traffic()
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Group(rank {} of {} on {:?})", self.rank, self.world_size, self.device)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // SAFETY: `raw` is live. A failure to abort leaves the works to their time-out, which `end_all` waits for.
        let aborted = ffi::check("abort", unsafe { ffi::lethe_group_abort(self.raw) });
        drop(aborted);
        self.flight.end_all();
        // SAFETY: `raw` came from the shim and is freed once; no work of ours is left that refers to it.
        unsafe { ffi::lethe_group_free(self.raw) }
    }
}

//! A collective that fails where a test says so: at a rank, a step and a call.
//!
//! It must never fail by chance, and never twice for one injection; what was not planned passes through.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use tch::{Device, Tensor};

use crate::error::CollectiveError;
use crate::ledger::{Ledger, Operation};
use crate::pending::Pending;
use crate::seam::Collective;

/// A hang ends by itself after this, so that a test that forgets to end it fails instead of hanging.
const LONGEST_HANG: Duration = Duration::from_secs(600);

/// One planned failure. Steps and calls count as in [`Call`](crate::Call): calls from 1 within the step that
/// `begin_step` named, and those before it belong to step 0.
#[derive(Debug)]
pub struct Injection {
    pub rank: u32,
    pub step: u64,
    pub call: u64,
    pub mischief: Mischief,
}

#[derive(Debug)]
pub enum Mischief {
    /// The call fails with this, and does not reach the peers. A started operation fails when it is waited for.
    Error(CollectiveError),
    /// The call succeeds on the peers and fails here with this, as where this rank is cut off at its end. A started
    /// operation fails when it is waited for.
    Late(CollectiveError),
    /// The call reaches the peers only after this time; beyond the group's time-out they give up first.
    Delay(Duration),
    /// The call succeeds, and the first value that it leaves on this rank is a NaN. Floating point only.
    Nan,
    /// The call does not reach the peers and does not return until the sender of this channel is dropped. A
    /// started operation hangs when it is waited for, and not when it is dropped.
    Hang(Receiver<()>),
}

/// Any collective, with planned failures.
#[derive(Debug)]
pub struct Faulty<C> {
    inner: C,
    planned: RefCell<Vec<Injection>>,
    step: Cell<u64>,
    calls_of_step: Cell<u64>,
}

impl<C: Collective> Faulty<C> {
    /// Keeps those injections that are for this rank.
    pub fn new(inner: C, injections: Vec<Injection>) -> Self {
        let planned = injections.into_iter().filter(|injection| injection.rank == inner.rank()).collect();
        Self { inner, planned: RefCell::new(planned), step: Cell::new(0), calls_of_step: Cell::new(0) }
    }

    /// How many of this rank's injections have not fired: a test of a failure that did not happen proves nothing.
    pub fn left(&self) -> usize {
        self.planned.borrow().len()
    }

    /// Counts a call, and takes what is planned for it.
    fn due(&self) -> Option<Mischief> {
        self.calls_of_step.set(self.calls_of_step.get() + 1);
        let here = (self.step.get(), self.calls_of_step.get());
        let mut planned = self.planned.borrow_mut();
        let at = planned.iter().position(|injection| (injection.step, injection.call) == here)?;
        Some(planned.swap_remove(at).mischief)
    }

    /// What happens before a call that waits; says what must happen after it.
    fn before(&self, operation: Operation) -> Result<Afterwards, CollectiveError> {
        match self.due() {
            None => Ok(Afterwards::Nothing),
            Some(Mischief::Error(error)) => Err(error),
            Some(Mischief::Delay(time)) => {
                std::thread::sleep(time);
                Ok(Afterwards::Nothing)
            }
            Some(Mischief::Nan) => Ok(Afterwards::Poison),
            Some(Mischief::Late(error)) => Ok(Afterwards::Fail(error)),
            Some(Mischief::Hang(end)) => Err(hang(operation, &end)),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Afterwards {
    Nothing,
    Poison,
    Fail(CollectiveError),
}

impl Afterwards {
    fn apply(self, operation: Operation, tensor: Option<&Tensor>) -> Result<(), CollectiveError> {
        match self {
            Self::Nothing => Ok(()),
            Self::Poison => poison(operation, tensor),
            Self::Fail(error) => Err(error),
        }
    }
}

fn hang(operation: Operation, end: &Receiver<()>) -> CollectiveError {
    // Nobody sends: it ends when the sender goes.
    let _gone = end.recv_timeout(LONGEST_HANG);
    CollectiveError::TimedOut { operation: operation.name(), detail: "it hung until the test let go".to_owned() }
}

fn poison(operation: Operation, tensor: Option<&Tensor>) -> Result<(), CollectiveError> {
    let other = |detail| CollectiveError::Other { operation: operation.name(), detail };
    let tensor = tensor.filter(|tensor| tensor.is_floating_point() && tensor.numel() > 0);
    let tensor =
        tensor.ok_or_else(|| other("nothing here can be a NaN; plan it for a floating-point tensor".to_owned()))?;
    let _guard = tch::no_grad_guard();
    let first = tensor.f_view([-1]).and_then(|flat| flat.f_get(0));
    first.and_then(|mut first| first.f_fill_(f64::NAN)).map(drop).map_err(|e| other(e.to_string()))
}

impl<C: Collective> Collective for Faulty<C> {
    fn rank(&self) -> u32 {
        self.inner.rank()
    }

    fn world_size(&self) -> u32 {
        self.inner.world_size()
    }

    fn device(&self) -> Device {
        self.inner.device()
    }

    fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError> {
        let afterwards = self.before(Operation::AllReduce)?;
        self.inner.all_reduce_sum(tensor)?;
        afterwards.apply(Operation::AllReduce, Some(tensor))
    }

    fn start_all_reduce_sum(&self, tensor: &mut Tensor) -> Result<Pending, CollectiveError> {
        let operation = Operation::AllReduce;
        match self.due() {
            None => self.inner.start_all_reduce_sum(tensor),
            Some(Mischief::Error(error)) => Ok(Pending::new(move || Err(error))),
            Some(Mischief::Delay(time)) => {
                std::thread::sleep(time);
                self.inner.start_all_reduce_sum(tensor)
            }
            Some(Mischief::Nan) => {
                let (same, started) = (tensor.shallow_clone(), self.inner.start_all_reduce_sum(tensor)?);
                Ok(Pending::new(move || started.wait().and_then(|()| poison(operation, Some(&same)))))
            }
            Some(Mischief::Late(error)) => {
                let started = self.inner.start_all_reduce_sum(tensor)?;
                Ok(Pending::new(move || started.wait().and(Err(error))))
            }
            Some(Mischief::Hang(end)) => Ok(Pending::new(move || Err(hang(operation, &end)))),
        }
    }

    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError> {
        let afterwards = self.before(Operation::Broadcast)?;
        self.inner.broadcast(tensor, root)?;
        afterwards.apply(Operation::Broadcast, Some(tensor))
    }

    fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError> {
        let afterwards = self.before(Operation::AllGather)?;
        let gathered = self.inner.all_gather(tensor)?;
        afterwards.apply(Operation::AllGather, gathered.first())?;
        Ok(gathered)
    }

    fn barrier(&self) -> Result<(), CollectiveError> {
        let afterwards = self.before(Operation::Barrier)?;
        self.inner.barrier()?;
        afterwards.apply(Operation::Barrier, None)
    }

    fn begin_step(&self, step: u64) {
        self.step.set(step);
        self.calls_of_step.set(0);
        self.inner.begin_step(step);
    }

    fn ledger(&self) -> Arc<Ledger> {
        self.inner.ledger()
    }
}

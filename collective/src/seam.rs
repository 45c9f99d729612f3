//! What a training loop may ask of the ranks it trains with.
//!
//! [`Group`](crate::Group) is the real one, on Gloo or on NCCL; [`Faulty`](crate::Faulty) wraps any for tests.

use std::sync::Arc;

use tch::{Device, Tensor};

use crate::error::CollectiveError;
use crate::ledger::{Ledger, Traffic};
use crate::pending::Pending;

/// The operations of one generation of a gang. Every rank calls the same ones in the same order, with tensors of
/// the same shape and dtype; [`require_same_layout`](crate::require_same_layout) proves that they are.
///
/// Every call has a deadline, and it is always the group's time-out: nothing here takes a time of its own. A
/// shorter wait for one call would leave it in flight behind the caller's back, writing to the tensor, with no way to
/// end it but to end the group.
///
/// An error ends the group on this rank: what else is in flight fails with it, at once. Drop every [`Pending`] and
/// then the group, and form the next generation.
pub trait Collective {
    fn rank(&self) -> u32;

    fn world_size(&self) -> u32;

    /// Where every tensor must be that is given to a call.
    fn device(&self) -> Device;

    /// Replaces the tensor's values by their sum over all ranks; every rank gets the same bits.
    fn all_reduce_sum(&self, tensor: &mut Tensor) -> Result<(), CollectiveError>;

    /// Begins [`Self::all_reduce_sum`] and returns at once. The tensor's values are unspecified until the
    /// [`Pending`] was waited for or dropped. Any number may be in flight.
    fn start_all_reduce_sum(&self, tensor: &mut Tensor) -> Result<Pending, CollectiveError>;

    /// Replaces the tensor's values by the root rank's.
    fn broadcast(&self, tensor: &mut Tensor, root: u32) -> Result<(), CollectiveError>;

    /// Every rank's tensor, in order of rank.
    fn all_gather(&self, tensor: &Tensor) -> Result<Vec<Tensor>, CollectiveError>;

    /// Returns when every rank has called it.
    fn barrier(&self) -> Result<(), CollectiveError>;

    /// Says which training step the calls that follow belong to; calls are numbered from 1 within it.
    fn begin_step(&self, step: u64);

    /// The group's account, for another thread to read: the call under way, and traffic.
    fn ledger(&self) -> Arc<Ledger>;

    /// What each kind of operation cost this rank since the group began.
    fn traffic(&self) -> Traffic {
        self.ledger().traffic()
    }
}

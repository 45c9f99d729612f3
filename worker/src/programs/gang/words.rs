//! The numbers by which ranks agree (votes, stands, histories), as tensors where the group takes them and back.
//!
//! It must never carry anything large: every call waits for the device.

use lethe_collective::Collective;
use lethe_common::fault::Fault;
use lethe_model::tch::{TchError, Tensor};

use crate::programs::fault::{collective_fault, model_fault};

/// Every rank's words, in order of rank; as many on each.
pub fn gather(own: &[i64], group: &dyn Collective) -> Result<Vec<Vec<i64>>, Fault> {
    let own = sent(own, group).map_err(torch)?;
    let all = group.all_gather(&own).map_err(collective_fault)?;
    all.iter().map(Vec::<i64>::try_from).collect::<Result<_, TchError>>().map_err(torch)
}

/// The root's words, for all; others give as many of any.
pub fn broadcast(own: &[i64], root: u32, group: &dyn Collective) -> Result<Vec<i64>, Fault> {
    let mut words = sent(own, group).map_err(torch)?;
    group.broadcast(&mut words, root).map_err(collective_fault)?;
    Vec::<i64>::try_from(&words).map_err(torch)
}

fn sent(words: &[i64], group: &dyn Collective) -> Result<Tensor, TchError> {
    Tensor::f_from_slice(words)?.f_to_device(group.device())
}

fn torch(error: TchError) -> Fault {
    model_fault(error.into())
}

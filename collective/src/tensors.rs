//! What a tensor must be before c10d sees it: its own refusals name neither the dtype nor what would do.

use std::ffi::c_void;

use tch::{Device, Kind, Tensor};

use crate::error::CollectiveError;
use crate::ledger::Operation;

/// What both backends add. Others either come back as "invalid scalar type" or are added as bytes (Bool).
const KINDS: [Kind; 8] =
    [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16, Kind::Uint8, Kind::Int8, Kind::Int, Kind::Int64];

/// tch holds an `at::Tensor*`. The shim changes values only where the caller gave a mutable tensor (or a fresh one).
pub(crate) fn handle(tensor: &Tensor) -> *mut c_void {
    tensor.as_ptr().cast_mut().cast()
}

pub(crate) fn payload_bytes(tensor: &Tensor) -> u64 {
    (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
}

/// Refuses a tensor that a group on `device` cannot take.
pub(crate) fn require_fit(operation: Operation, tensor: &Tensor, device: Device) -> Result<(), CollectiveError> {
    let (kind, shape) = (tensor.kind(), tensor.size());
    let detail = if tensor.device() != device {
        format!("a tensor of shape {shape:?} is on {:?}; this group's tensors are on {device:?}", tensor.device())
    } else if !KINDS.contains(&kind) {
        format!("a tensor of shape {shape:?} is {kind:?}; expected one of {KINDS:?}, so convert it first")
    } else if !tensor.is_contiguous() {
        format!("a tensor of shape {shape:?} is not contiguous; call contiguous() first")
    } else {
        return Ok(());
    };
    Err(CollectiveError::Other { operation: operation.name(), detail })
}

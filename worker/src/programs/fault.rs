//! How failures of libraries become faults that the scheduler can act on.

use lethe_collective::CollectiveError;
use lethe_common::fault::Fault;
use lethe_evidence::EvidenceError;
use lethe_model::ModelError;

use crate::executor::failure;

/// Wrong shapes, missing tensors and bad configs stay wrong; a want of memory or a failed device does not.
pub fn model_fault(error: ModelError) -> Fault {
    failure::classify(Fault::fatal(error.to_string()))
}

/// A lost or late peer is replaced and the generation formed anew; the bounded generations end what stays broken. Ranks that
/// do not fit together stay so.
pub fn collective_fault(error: CollectiveError) -> Fault {
    error.into()
}

/// A table that does not fit stays so; a disk that is full does not.
pub fn table_fault(error: EvidenceError) -> Fault {
    match error.is_of_storage() {
        true => Fault::storage(format!("{error}; check the free space of the blobs' disk")),
        false => fatal(error),
    }
}

/// A failure that the same inputs would bring again.
pub fn fatal(error: impl std::fmt::Display) -> Fault {
    Fault::fatal(error.to_string())
}

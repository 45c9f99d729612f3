//! Tells a failure for want of memory, and one of the device, from all others, by what libtorch and its libraries say.
//!
//! It must never guess: a process that the kernel killed says nothing, and its task is tried again as it is.

use lethe_common::fault::{Fault, FaultKind};

/// What the messages have, and no others: c10 throws one C++ type for it, of which tch keeps the text alone.
const OF_MEMORY: [&str; 10] = [
    "OutOfMemoryError",
    "CUDA out of memory",
    "CUDA error: out of memory",
    "Cuda failure 2 'out of memory'",
    "Cuda failure 'out of memory'",
    "HIP out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "DefaultCPUAllocator: ",
    "std::bad_alloc",
];

/// A GPU or one of its libraries failed, whatever was computed: after most of these the process cannot use it any more.
const OF_DEVICE: [&str; 6] =
    ["CUDA error", "CUDA driver error", "cuDNN error", "CUBLAS_STATUS_", "CUSOLVER_STATUS_", "Cuda failure"];

/// The fault as it is; or as one that a smaller batch may mend, or another device.
pub(crate) fn classify(fault: Fault) -> Fault {
    match fault.kind {
        FaultKind::Retryable | FaultKind::Fatal if is_for_memory(&fault.message) => Fault::out_of_memory(fault.message),
        FaultKind::Fatal if is_of_device(&fault.message) => Fault::retryable(fault.message),
        FaultKind::Retryable
        | FaultKind::Fatal
        | FaultKind::OutOfMemory
        | FaultKind::BadShard
        | FaultKind::HandedBack
        | FaultKind::Storage => fault,
    }
}

fn is_for_memory(message: &str) -> bool {
    OF_MEMORY.iter().any(|sign| message.contains(sign))
}

/// Whether this process should not compute any more; another one begins with a context of its own.
pub(crate) fn is_of_device(message: &str) -> bool {
    !is_for_memory(message) && OF_DEVICE.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind, Tensor};

    use super::*;

    #[test]
    fn messages_of_libraries_are_known() {
        let for_memory = [
            "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB of which 18.62 MiB is free.",
            "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "audit/2/0/7.1: panicked: called `Result::unwrap()` on an `Err` value: Torch(\"CUDA out of memory. Tried to allocate 1.17 GiB (GPU 0; 23.65 GiB total capacity)\")",
            "CUDA error: out of memory",
            "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
            "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
            "NCCL error in: unhandled cuda error, Last error: Cuda failure 2 'out of memory'",
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12 (Cannot allocate memory)",
            "[enforce fail at alloc_cpu.cpp:80] data. DefaultCPUAllocator: not enough memory: you tried to allocate 1073741824 bytes.",
            "std::bad_alloc",
        ];
        for message in for_memory {
            for fault in [Fault::retryable(message), Fault::fatal(message)] {
                assert_eq!(classify(fault), Fault::out_of_memory(message));
            }
        }
        let others = [
            "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)",
            "executor died with signal 9 while running audit/2/0/7.1",
            "cannot read shard out of memory.tar: no such file",
        ];
        for message in others {
            assert_eq!(classify(Fault::fatal(message)), Fault::fatal(message));
            assert!(!is_of_device(message), "{message}");
        }
        let of_device = [
            "CUDA error: an illegal memory access was encountered",
            "CUDA error: uncorrectable ECC error encountered",
            "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
            "CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(handle)`",
            "NCCL error in: unhandled cuda error, Last error: Cuda failure 700 'an illegal memory access was encountered'",
        ];
        for message in of_device {
            assert_eq!(classify(Fault::fatal(message)), Fault::retryable(message));
            assert!(is_of_device(message), "{message}");
        }
        for_memory.iter().for_each(|message| assert!(!is_of_device(message), "{message}"));
    }

    #[test]
    fn what_libtorch_really_says_is_known() {
        let error = Tensor::f_zeros([1 << 50], (Kind::Float, Device::Cpu)).expect_err("no machine has a pebibyte");
        assert!(is_for_memory(&error.to_string()), "{error}");
        let panicked = std::panic::catch_unwind(|| Tensor::zeros([1 << 50], (Kind::Float, Device::Cpu)));
        let payload = panicked.expect_err("panics");
        assert!(is_for_memory(payload.downcast_ref::<String>().expect("is text").lines().next().unwrap_or_default()));
    }
}

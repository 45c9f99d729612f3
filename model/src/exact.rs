//! The same bits from the same inputs on a GPU, where libtorch has a kernel that gives them.
//!
//! It must be chosen before the first computation, and never changes what a CPU computes.

use crate::error::Result;
use crate::ffi;

/// The variable that cuBLAS reads when it starts, and a value under which its results do not depend on what else runs
/// (NVIDIA's cuBLAS manual, "Results reproducibility").
pub const CUBLAS_VARIABLE: (&str, &str) = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8");

/// Chooses reproducible kernels and full f32 for all CUDA computation of this process. The environment has
/// [`CUBLAS_VARIABLE`] from the process's start.
pub fn exact_cuda() -> Result<()> {
    // SAFETY: sets flags of libtorch's global context, and no other thread computes yet.
    ffi::check(unsafe { ffi::lethe_exact_cuda() })
}

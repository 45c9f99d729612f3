//! Gradients as backward finds them: a call for each leaf, whose answer takes the gradient's place.
//!
//! It must never let a panic reach C++, and never call once it was dropped.

use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tch::Tensor;

use crate::error::CollectiveError;
use crate::ffi;
use crate::tensors::handle;

/// What is told of gradients. `None` fails backward; whoever gives it keeps the reason.
///
/// On the CPU the thread that runs backward is the one that asked for it; on CUDA it is libtorch's own.
pub(crate) trait Collector: Send + Sync + 'static {
    /// The leaf's whole gradient, once in a backward that reaches it; what it returns must have its shape and kind.
    fn ready(&self, leaf: usize, gradient: &Tensor) -> Option<Tensor>;
}

/// Hooks on leaves, until they are dropped.
pub(crate) struct Hooks<C> {
    /// A C++ `Hooks*` that this value owns; it calls with a pointer to the collector.
    raw: *mut c_void,
    collector: Arc<C>,
}

impl<C: Collector> Hooks<C> {
    pub(crate) fn place(leaves: &[&Tensor], collector: C) -> Result<Self, CollectiveError> {
        let collector = Arc::new(collector);
        let handles: Vec<*mut c_void> = leaves.iter().map(|leaf| handle(leaf)).collect();
        let context = Arc::as_ptr(&collector).cast_mut().cast();
        let mut raw = std::ptr::null_mut();
        // SAFETY: the handles are live tensors, which C++ keeps shares of; the collector outlives the hooks, since `drop`
        // removes them first.
        let code = unsafe { ffi::lethe_hooks_new(handles.as_ptr(), handles.len(), ready::<C>, context, &mut raw) };
        ffi::check("watch gradients", code)?;
        Ok(Self { raw, collector })
    }

    pub(crate) fn collector(&self) -> &C {
        &self.collector
    }
}

impl<C> Drop for Hooks<C> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the shim and is freed once; no backward runs, since it would borrow us.
        unsafe { ffi::lethe_hooks_free(self.raw) }
    }
}

unsafe extern "C" fn ready<C: Collector>(
    context: *mut c_void,
    leaf: usize,
    gradient: *mut c_void,
    replacement: *mut *mut c_void,
) -> c_int {
    // SAFETY: C++ passes the collector it was given, and a gradient that outlives the call.
    let (collector, gradient) = unsafe { (&*context.cast::<C>(), Tensor::clone_from_ptr(gradient.cast())) };
    match catch_unwind(AssertUnwindSafe(|| collector.ready(leaf, &gradient))) {
        Ok(Some(tensor)) => {
            // C++ takes the handle over.
            let raw = tensor.as_ptr().cast_mut().cast();
            std::mem::forget(tensor);
            // SAFETY: the pointer is C++'s variable.
            unsafe { *replacement = raw };
            ffi::OK
        }
        Ok(None) | Err(_) => ffi::OTHER,
    }
}

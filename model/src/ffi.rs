//! The C interface of `csrc/model.h`.
//!
//! It must never let an exception reach Rust: the shim catches them all.

use std::ffi::{CStr, c_char, c_int, c_void};

use crate::error::{ModelError, Result};

/// `lethe_adamw_settings`.
#[repr(C)]
pub(crate) struct AdamWStep {
    pub learning_rate: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
}

unsafe extern "C" {
    fn lethe_model_last_error() -> *const c_char;
    pub(crate) fn lethe_adamw(
        weights: *mut c_void,
        gradient: *mut c_void,
        first_moment: *mut c_void,
        second_moment: *mut c_void,
        steps: *mut c_void,
        settings: *const AdamWStep,
    ) -> c_int;
    pub(crate) fn lethe_exact_cuda() -> c_int;
    pub(crate) fn lethe_autocast_new(is_cuda: c_int, autocast: *mut *mut c_void) -> c_int;
    pub(crate) fn lethe_autocast_free(autocast: *mut c_void);
}

/// The error of a call on this thread that just returned this code.
pub(crate) fn check(code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        _ => {
            // SAFETY: a C string of this thread's own, valid until its next failure.
            let text = unsafe { CStr::from_ptr(lethe_model_last_error()) };
            Err(ModelError::Torch(text.to_string_lossy().into_owned()))
        }
    }
}

//! The C interface of `csrc/collective.h`, and the Rust side of its store callbacks.
//!
//! It must never let a panic reach C++ nor an exception reach Rust: both are caught on their own side.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::error::CollectiveError;
use crate::store::{RendezvousError, RendezvousStore};

pub(crate) const OK: c_int = 0;
pub(crate) const OTHER: c_int = -1;
const TIMED_OUT: c_int = -2;
const PEER_LOST: c_int = -3;

/// Characters of a failure that are kept.
const MAX_DETAIL: usize = 1_000;

/// `lethe_store`: what C++ calls to reach a [`RendezvousStore`]. `context` is a boxed [`Context`].
#[repr(C)]
pub(crate) struct StoreCallbacks {
    context: *mut c_void,
    set: unsafe extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize, *mut c_void) -> c_int,
    get: unsafe extern "C" fn(*mut c_void, *const u8, usize, u64, *mut c_void, *mut c_void) -> c_int,
    add: unsafe extern "C" fn(*mut c_void, *const u8, usize, i64, *mut i64, *mut c_void) -> c_int,
    release: unsafe extern "C" fn(*mut c_void),
}

unsafe extern "C" {
    fn lethe_sink_write(sink: *mut c_void, bytes: *const u8, count: usize);
    fn lethe_last_error() -> *const c_char;
    pub(crate) fn lethe_gloo_new(
        store: StoreCallbacks,
        rank: c_int,
        world_size: c_int,
        host: *const c_char,
        timeout_ms: i64,
        group: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn lethe_group_abort(group: *mut c_void) -> c_int;
    pub(crate) fn lethe_group_free(group: *mut c_void);
    pub(crate) fn lethe_all_reduce_sum(group: *mut c_void, tensor: *mut c_void) -> c_int;
    pub(crate) fn lethe_broadcast(group: *mut c_void, tensor: *mut c_void, root: c_int) -> c_int;
    pub(crate) fn lethe_all_gather(
        group: *mut c_void,
        outputs: *const *mut c_void,
        count: usize,
        input: *mut c_void,
    ) -> c_int;
    pub(crate) fn lethe_barrier(group: *mut c_void) -> c_int;
    pub(crate) fn lethe_start_all_reduce_sum(group: *mut c_void, tensor: *mut c_void, work: *mut *mut c_void) -> c_int;
    pub(crate) fn lethe_work_wait(work: *mut c_void) -> c_int;
    pub(crate) fn lethe_work_free(work: *mut c_void);
    pub(crate) fn lethe_hooks_new(
        leaves: *const *mut c_void,
        count: usize,
        ready: unsafe extern "C" fn(*mut c_void, usize, *mut c_void, *mut *mut c_void) -> c_int,
        context: *mut c_void,
        hooks: *mut *mut c_void,
    ) -> c_int;
    pub(crate) fn lethe_hooks_free(hooks: *mut c_void);
}

/// Turns the code of a call that this thread just made into a result.
pub(crate) fn check(operation: &'static str, code: c_int) -> Result<(), CollectiveError> {
    // SAFETY: the shim's text is as `check_with` asks.
    unsafe { check_with(operation, code, || lethe_last_error()) }
}

/// As [`check`], with the text of another object.
///
/// # Safety
/// `last_error` must give a NUL-terminated string of this thread that lives until its next failure.
pub(crate) unsafe fn check_with(
    operation: &'static str,
    code: c_int,
    last_error: impl FnOnce() -> *const c_char,
) -> Result<(), CollectiveError> {
    if code == OK {
        return Ok(());
    }
    // SAFETY: the caller's promise; the text is copied here at once.
    let text = unsafe { CStr::from_ptr(last_error()) }.to_string_lossy();
    let detail = one_line(&text);
    Err(match code {
        TIMED_OUT => CollectiveError::TimedOut { operation, detail },
        PEER_LOST => CollectiveError::PeerLost { operation, detail },
        _ => CollectiveError::Other { operation, detail },
    })
}

/// NCCL's own cause comes on later lines than c10d's; a backtrace comes after all of them.
fn one_line(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("Exception raised from")).map(str::trim);
    let line = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    line.chars().take(MAX_DETAIL).collect()
}

type Context = Arc<dyn RendezvousStore>;

impl StoreCallbacks {
    /// Hands a share of the store to C++, which gives it back through `release`.
    pub(crate) fn new(store: Context) -> Self {
        Self { context: Box::into_raw(Box::new(store)).cast(), set, get, add, release }
    }
}

/// # Safety
/// `context` must come from [`StoreCallbacks::new`] and not be released yet.
unsafe fn store_of<'a>(context: *mut c_void) -> &'a dyn RendezvousStore {
    // SAFETY: the caller's promise; the box holds exactly this type, and only shared references are made.
    unsafe { &*context.cast::<Context>() }.as_ref()
}

/// # Safety
/// `bytes` must point to `count` readable bytes, or `count` be zero.
unsafe fn slice_of<'a>(bytes: *const u8, count: usize) -> &'a [u8] {
    // An empty std::vector may have a null pointer, which a slice may not.
    if count == 0 {
        return &[];
    }
    // SAFETY: the caller's promise; C++ keeps the buffer alive and unchanged for the whole call.
    unsafe { std::slice::from_raw_parts(bytes, count) }
}

/// # Safety
/// `sink` must be the sink that C++ passed to the callback now running.
unsafe fn fill(sink: *mut c_void, bytes: &[u8]) {
    // SAFETY: the caller's promise; C++ copies the bytes before it returns.
    unsafe { lethe_sink_write(sink, bytes.as_ptr(), bytes.len()) }
}

/// Runs a store call; a failure or a panic becomes a code and a text in the sink.
///
/// # Safety
/// As [`fill`].
unsafe fn answer(error_sink: *mut c_void, call: impl FnOnce() -> Result<(), RendezvousError>) -> c_int {
    let (code, text) = match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(())) => return OK,
        Ok(Err(error @ RendezvousError::TimedOut { .. })) => (TIMED_OUT, error.to_string()),
        Ok(Err(error @ RendezvousError::Unavailable(_))) => (OTHER, error.to_string()),
        Err(_) => (OTHER, "the rendezvous store panicked".to_owned()),
    };
    // SAFETY: the caller's promise.
    unsafe { fill(error_sink, text.as_bytes()) };
    code
}

unsafe extern "C" fn set(
    context: *mut c_void,
    key: *const u8,
    key_bytes: usize,
    value: *const u8,
    value_bytes: usize,
    error_sink: *mut c_void,
) -> c_int {
    // SAFETY: C++ passes the context it was given, and buffers and a sink that outlive this call.
    unsafe {
        let (store, key, value) = (store_of(context), slice_of(key, key_bytes), slice_of(value, value_bytes));
        answer(error_sink, || store.set(&String::from_utf8_lossy(key), value))
    }
}

unsafe extern "C" fn get(
    context: *mut c_void,
    key: *const u8,
    key_bytes: usize,
    timeout_ms: u64,
    value_sink: *mut c_void,
    error_sink: *mut c_void,
) -> c_int {
    // SAFETY: as in `set`; the value sink is C++'s too.
    unsafe {
        let (store, key) = (store_of(context), slice_of(key, key_bytes));
        answer(error_sink, || {
            let value = store.get(&String::from_utf8_lossy(key), Duration::from_millis(timeout_ms))?;
            fill(value_sink, &value);
            Ok(())
        })
    }
}

unsafe extern "C" fn add(
    context: *mut c_void,
    key: *const u8,
    key_bytes: usize,
    amount: i64,
    sum: *mut i64,
    error_sink: *mut c_void,
) -> c_int {
    // SAFETY: as in `set`; `sum` points to an integer of C++'s caller.
    unsafe {
        let (store, key) = (store_of(context), slice_of(key, key_bytes));
        answer(error_sink, || {
            *sum = store.add(&String::from_utf8_lossy(key), amount)?;
            Ok(())
        })
    }
}

unsafe extern "C" fn release(context: *mut c_void) {
    // SAFETY: C++ calls this once, after its last use; the box was leaked in `StoreCallbacks::new`.
    let store = unsafe { Box::from_raw(context.cast::<Context>()) };
    // A store whose drop panics must not unwind into C++; there is nobody left to tell.
    drop(catch_unwind(AssertUnwindSafe(move || drop(store))));
}

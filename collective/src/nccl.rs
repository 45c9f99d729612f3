//! NCCL's half: an object of its own, opened at the first group that asks for it, so that a CPU build needs no CUDA.
//!
//! It must never be half there: either everything that NCCL needs was found, or the refusal says in one line what
//! is missing and what to do about it.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use crate::cuda;
use crate::dynamic::{Library, Scope};
use crate::error::CollectiveError;
use crate::ffi::{self, StoreCallbacks};
use crate::store::RendezvousStore;

/// Names the object that `scripts/nccl.sh` built.
pub const NCCL_VARIABLE: &str = "LETHE_NCCL";

type New = unsafe extern "C" fn(StoreCallbacks, c_int, c_int, c_int, i64, *mut *mut c_void) -> c_int;
type Devices = unsafe extern "C" fn() -> c_int;
type LastError = unsafe extern "C" fn() -> *const c_char;

/// The object's functions.
pub struct Nccl {
    new: New,
    devices: Devices,
    last_error: LastError,
}

impl Nccl {
    /// Opens the object, once a process; the answer stays, since what is missing then is missing until a restart.
    pub fn open() -> Result<&'static Self, CollectiveError> {
        static OPENED: OnceLock<Result<Nccl, String>> = OnceLock::new();
        let opened = OPENED.get_or_init(|| Self::load(std::env::var(NCCL_VARIABLE).ok().as_deref()));
        opened.as_ref().map_err(|detail| CollectiveError::Unavailable { backend: "nccl", detail: detail.clone() })
    }

    fn load(object: Option<&str>) -> Result<Self, String> {
        let how = format!("build it with scripts/nccl.sh and set {NCCL_VARIABLE} to the path that it prints");
        let object = object.ok_or_else(|| format!("{NCCL_VARIABLE} names no object; {how}"))?;
        if !Path::new(object).is_file() {
            return Err(format!("{NCCL_VARIABLE}={object} is no file; {how}"));
        }
        // The object takes its symbols from it.
        cuda::open_libtorch()?;
        let library = Library::open(object, Scope::Own)
            .map_err(|e| format!("{object} does not load ({e}); build it again with scripts/nccl.sh"))?;
        Self::functions(&library).map_err(|e| format!("{object} is not ours ({e}); {how}"))
    }

    fn functions(library: &Library) -> Result<Self, String> {
        let new = library.symbol(c"lethe_nccl_new")?;
        let devices = library.symbol(c"lethe_nccl_devices")?;
        let last_error = library.symbol(c"lethe_nccl_last_error")?;
        // SAFETY: the addresses are functions of `csrc/nccl.cpp`, whose signatures these types repeat; the library
        // is never closed.
        unsafe {
            Ok(Self {
                new: std::mem::transmute::<*mut c_void, New>(new),
                devices: std::mem::transmute::<*mut c_void, Devices>(devices),
                last_error: std::mem::transmute::<*mut c_void, LastError>(last_error),
            })
        }
    }

    /// The CUDA devices of this machine; zero without a driver.
    pub fn devices(&self) -> u32 {
        // SAFETY: the function takes nothing and catches its own exceptions.
        u32::try_from(unsafe { (self.devices)() }).unwrap_or(0)
    }

    /// Gives a `lethe::Group*` that the caller owns.
    pub(crate) fn connect(
        &self,
        store: Arc<dyn RendezvousStore>,
        (rank, world_size): (c_int, c_int),
        device: c_int,
        timeout_ms: i64,
    ) -> Result<*mut c_void, CollectiveError> {
        self.require_device(device)?;
        self.construct(store, (rank, world_size), device, timeout_ms)
    }

    fn construct(
        &self,
        store: Arc<dyn RendezvousStore>,
        (rank, world_size): (c_int, c_int),
        device: c_int,
        timeout_ms: i64,
    ) -> Result<*mut c_void, CollectiveError> {
        let mut raw = std::ptr::null_mut();
        // SAFETY: the callbacks are taken over by the call, and `raw` is written on success.
        let code = unsafe { (self.new)(StoreCallbacks::new(store), rank, world_size, device, timeout_ms, &mut raw) };
        // SAFETY: the object's own text of this thread, as `ffi::check_with` asks.
        unsafe { ffi::check_with("connect", code, || (self.last_error)()) }?;
        Ok(raw)
    }

    fn require_device(&self, device: c_int) -> Result<(), CollectiveError> {
        let found = self.devices();
        let detail = match found {
            0 => "no CUDA device is visible here; run where nvidia-smi shows a GPU (and CUDA_VISIBLE_DEVICES does not hide it), or use Gloo".to_owned(),
            _ if device.unsigned_abs() >= found => format!("CUDA device {device} does not exist; this machine has {found}, counted from 0"),
            _ => return Ok(()),
        };
        Err(CollectiveError::Unavailable { backend: "nccl", detail })
    }
}

impl std::fmt::Debug for Nccl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Nccl({} devices)", self.devices())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory_store::MemoryStore;

    #[test]
    fn what_is_missing_is_named_with_what_to_do() {
        let no_file = format!("{}/no-such-object.so", env!("CARGO_MANIFEST_DIR"));
        for (object, expected) in [(None, "names no object"), (Some(no_file.as_str()), "is no file")] {
            let refusal = Nccl::load(object).expect_err("nothing is there");
            assert!(refusal.contains(expected) && refusal.contains("scripts/nccl.sh"), "{refusal}");
            assert!(!refusal.contains('\n'), "more than a line: {refusal}");
        }
    }

    /// Without a GPU c10d's constructor throws: the exception and the store's end may not depend on which object they cross.
    #[test]
    fn c10ds_refusal_comes_back() {
        let nccl = match Nccl::open() {
            Ok(nccl) if nccl.devices() == 0 => nccl,
            Ok(_) => return eprintln!("SKIPPED: collective, c10d's own refusal: there is a GPU"),
            Err(refusal) => return eprintln!("SKIPPED: collective, c10d's own refusal: {refusal}"),
        };
        let store = Arc::new(MemoryStore::new());
        let refusal = nccl.construct(store.clone(), (0, 1), 0, 60_000).expect_err("there is no GPU");
        assert!(refusal.to_string().contains("only supported with GPUs"), "{refusal}");
        assert_eq!(Arc::strong_count(&store), 1, "the object keeps the store");
    }
}

//! A shared object that is opened at run time.

use std::ffi::{CStr, CString, c_int, c_void};

/// An object that stays open for the life of the process: threads of CUDA's libraries never end before it.
pub(crate) struct Library(*mut c_void);

// SAFETY: a handle of dlopen may be used from any thread; it is never closed.
unsafe impl Send for Library {}
// SAFETY: as above; dlsym takes the loader's own lock.
unsafe impl Sync for Library {}

/// Who sees the object's symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Objects that are opened later.
    All,
    /// Only those who ask this library by name.
    Own,
}

impl Library {
    /// Opens an object with everything it needs, or gives the loader's words.
    pub(crate) fn open(name: &str, scope: Scope) -> Result<Self, String> {
        let c_name = CString::new(name).map_err(|_| format!("{name:?} contains a zero byte"))?;
        let visible: c_int = match scope {
            Scope::All => libc::RTLD_GLOBAL,
            Scope::Own => libc::RTLD_LOCAL,
        };
        // SAFETY: the name is a C string; the objects that this crate opens run nothing on loading but libtorch's
        // own registrations.
        let handle = unsafe { libc::dlopen(c_name.as_ptr(), libc::RTLD_NOW | visible) };
        if handle.is_null() { Err(last_error()) } else { Ok(Self(handle)) }
    }

    /// The address of a symbol, never null.
    pub(crate) fn symbol(&self, name: &CStr) -> Result<*mut c_void, String> {
        // SAFETY: the handle is open, and the name is a C string.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        if address.is_null() { Err(last_error()) } else { Ok(address) }
    }
}

fn last_error() -> String {
    // SAFETY: dlerror gives null or a C string of this thread, which lives until its next call and is copied here.
    unsafe {
        let text = libc::dlerror();
        if text.is_null() {
            return "no such symbol".to_owned();
        }
        CStr::from_ptr(text).to_string_lossy().into_owned()
    }
}

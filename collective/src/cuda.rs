//! What CUDA there is for this process: NVIDIA's driver, libtorch's CUDA half, and the GPUs that both see.
//!
//! It must never be half there: either all of it was found, or the refusal says in one line what is missing and what to
//! do about it.

use std::ffi::{c_char, c_int, c_void};
use std::sync::OnceLock;

use crate::dynamic::{Library, Scope};
use crate::error::CollectiveError;
use crate::nccl::Nccl;

/// NVIDIA's driver, as programs see it.
const DRIVER: &str = "libcuda.so.1";
/// c10d's and libtorch's CUDA half; it lies beside the libtorch that is loaded, where this program's rpath leads.
const CUDA_HALF: &str = "libtorch_cuda.so";
const SUCCESS: c_int = 0;
const NAME_BYTES: usize = 256;
const LOOK: &str = "run where nvidia-smi shows a GPU that CUDA_VISIBLE_DEVICES does not hide";

/// One GPU, under the number that libtorch gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// The model's, such as `NVIDIA H100 80GB HBM3`.
    pub name: String,
    /// No other GPU of any machine has it.
    pub uuid: String,
}

/// Whether this machine has NVIDIA's driver. Cheap, and loads nothing of torch.
pub fn has_driver() -> bool {
    Library::open(DRIVER, Scope::Own).is_ok()
}

/// The GPUs that everything needed to train on them was found for, at least one. Opens libtorch's CUDA half: ask before
/// torch is asked for CUDA the first time, since it keeps its answer.
pub fn gpus() -> Result<Vec<Gpu>, CollectiveError> {
    let found = driver_gpus().map_err(unavailable)?;
    open_libtorch().map_err(unavailable)?;
    let seen = tch::Cuda::device_count();
    if seen != found.len() as i64 {
        let detail =
            format!("libtorch sees {seen} GPUs where the driver has {}; the driver may be too old", found.len());
        return Err(unavailable(detail));
    }
    Nccl::open()?;
    Ok(found)
}

/// What tells a GPU from every other.
pub(crate) fn uuid(device: u32) -> Option<String> {
    driver_gpus().ok()?.get(device as usize).map(|gpu| gpu.uuid.clone())
}

/// Opens libtorch's CUDA half for all that is opened later, once a process.
pub(crate) fn open_libtorch() -> Result<(), String> {
    static OPENED: OnceLock<Result<(), String>> = OnceLock::new();
    let open = || match Library::open(CUDA_HALF, Scope::All) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!(
            "{CUDA_HALF} does not load ({e}); set LIBTORCH to a torch 2.13.0 with CUDA and build with it (docs/gpu.md)"
        )),
    };
    OPENED.get_or_init(open).clone()
}

fn unavailable(detail: String) -> CollectiveError {
    CollectiveError::Unavailable { backend: "cuda", detail }
}

fn driver_gpus() -> Result<Vec<Gpu>, String> {
    let driver = Driver::open().map_err(|e| format!("NVIDIA's driver does not load ({e}); {LOOK}"))?;
    let gpus = driver.gpus().map_err(|code| format!("NVIDIA's driver gives error {code}; {LOOK}"))?;
    if gpus.is_empty() { Err(format!("the driver shows no GPU; {LOOK}")) } else { Ok(gpus) }
}

type Init = unsafe extern "C" fn(c_int) -> c_int;
type Count = unsafe extern "C" fn(*mut c_int) -> c_int;
type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
type Uuid = unsafe extern "C" fn(*mut [u8; 16], c_int) -> c_int;

/// Functions of the driver, whose C interface stays as it is; they obey CUDA_VISIBLE_DEVICES.
struct Driver {
    init: Init,
    count: Count,
    get: Get,
    name: Name,
    uuid: Uuid,
}

impl Driver {
    fn open() -> Result<Self, String> {
        let library = Library::open(DRIVER, Scope::Own)?;
        let [init, count, get] = [c"cuInit", c"cuDeviceGetCount", c"cuDeviceGet"].map(|name| library.symbol(name));
        let [name, uuid] = [c"cuDeviceGetName", c"cuDeviceGetUuid_v2"].map(|name| library.symbol(name));
        // SAFETY: the addresses are functions of cuda.h, whose signatures these types repeat; the library is never closed.
        unsafe {
            Ok(Self {
                init: std::mem::transmute::<*mut c_void, Init>(init?),
                count: std::mem::transmute::<*mut c_void, Count>(count?),
                get: std::mem::transmute::<*mut c_void, Get>(get?),
                name: std::mem::transmute::<*mut c_void, Name>(name?),
                uuid: std::mem::transmute::<*mut c_void, Uuid>(uuid?),
            })
        }
    }

    /// Every visible GPU in order, or the driver's error code.
    fn gpus(&self) -> Result<Vec<Gpu>, c_int> {
        let mut count = 0;
        // SAFETY: the functions are the driver's, and write to the one number they are given.
        unsafe {
            succeeded((self.init)(0))?;
            succeeded((self.count)(&mut count))?;
        }
        (0..count).map(|ordinal| self.gpu(ordinal)).collect()
    }

    fn gpu(&self, ordinal: c_int) -> Result<Gpu, c_int> {
        let (mut device, mut name, mut uuid) = (0, [0_u8; NAME_BYTES], [0_u8; 16]);
        // SAFETY: as in `gpus`; the name is given with its length, which a NUL fits into.
        unsafe {
            succeeded((self.get)(&mut device, ordinal))?;
            succeeded((self.name)(name.as_mut_ptr().cast(), NAME_BYTES as c_int, device))?;
            succeeded((self.uuid)(&mut uuid, device))?;
        }
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        Ok(Gpu {
            name: String::from_utf8_lossy(name).trim().to_owned(),
            uuid: uuid.iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }
}

fn succeeded(code: c_int) -> Result<(), c_int> {
    if code == SUCCESS { Ok(()) } else { Err(code) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_in_one_line_with_what_to_do() {
        let Err(refusal) = gpus() else { return eprintln!("SKIPPED: collective, CUDA's refusal: there is a GPU") };
        let line = refusal.to_string();
        assert!(line.starts_with("cuda cannot be used here: ") && !line.contains('\n'), "{line}");
        assert!(["nvidia-smi", "LIBTORCH", "scripts/nccl.sh"].iter().any(|words| line.contains(words)), "{line}");
    }
}

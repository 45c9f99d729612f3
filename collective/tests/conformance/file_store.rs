//! A rendezvous store in a folder, for ranks that are processes of this machine.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lethe_collective::{RendezvousError, RendezvousStore};

const GLANCE: Duration = Duration::from_millis(2);

pub struct FileStore {
    folder: PathBuf,
}

impl FileStore {
    pub fn open(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("makes the store's folder");
        Self { folder: folder.to_owned() }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
    }
}

fn unavailable(error: std::io::Error) -> RendezvousError {
    RendezvousError::Unavailable(error.to_string())
}

impl RendezvousStore for FileStore {
    /// A reader sees the whole value or none.
    fn set(&self, key: &str, value: &[u8]) -> Result<(), RendezvousError> {
        let half = self.path(key).with_extension(std::process::id().to_string());
        fs::write(&half, value).and_then(|()| fs::rename(&half, self.path(key))).map_err(unavailable)
    }

    fn get(&self, key: &str, timeout: Duration) -> Result<Vec<u8>, RendezvousError> {
        let deadline = Instant::now() + timeout;
        loop {
            match fs::read(self.path(key)) {
                Err(e) if e.kind() == ErrorKind::NotFound && Instant::now() < deadline => std::thread::sleep(GLANCE),
                Err(e) if e.kind() == ErrorKind::NotFound => {
                    let waited_ms = timeout.as_millis() as u64;
                    return Err(RendezvousError::TimedOut { key: key.to_owned(), waited_ms });
                }
                read => return read.map_err(unavailable),
            }
        }
    }

    fn add(&self, key: &str, _: i64) -> Result<i64, RendezvousError> {
        Err(RendezvousError::Unavailable(format!("key {key:?}: this store does not count")))
    }
}

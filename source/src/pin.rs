//! A shard's version and size, as the plan finds them.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use lethe_common::blob::Digest;
use lethe_common::pin::Pin;

use crate::error::SourceError;

const READ_BYTES: usize = 1 << 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    pub pin: Pin,
    pub size_bytes: u64,
}

/// Reads a whole file.
pub(crate) fn pin_file(path: &Path) -> Result<Pinned, SourceError> {
    let name = path.display();
    let unreadable = |e: std::io::Error| SourceError::Broken {
        name: format!("shard {name}"),
        problem: format!("{e}; check the path and its rights"),
    };
    let mut file = File::open(path).map_err(unreadable)?;
    let (mut hasher, mut buffer, mut size_bytes) = (blake3::Hasher::new(), vec![0; READ_BYTES], 0);
    loop {
        let read = file.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
        size_bytes += read as u64;
    }
    Ok(Pinned { pin: Pin::Digest(Digest(*hasher.finalize().as_bytes())), size_bytes })
}

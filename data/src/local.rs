//! A shard that is a file on this machine.
//!
//! It must never follow a manifest, nor a link, out of the manifest's folder.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::location::Location;
use crate::origin::{Origin, Pending, Unfetched};

pub struct LocalFile {
    path: PathBuf,
    name: String,
    file: File,
    size_bytes: u64,
}

impl LocalFile {
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self { path: path.to_owned(), name: path.display().to_string(), file, size_bytes })
    }
}

impl Origin for LocalFile {
    fn name(&self) -> &str {
        &self.name
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&self.path)?))
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, start)?;
        Ok(bytes.into())
    }

    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending {
        let folder = self.path.parent().map(Path::to_owned).unwrap_or_default();
        match location {
            Location::Under(name) => {
                let name = name.clone();
                Box::new(move || picture(&folder, &name, limit_bytes))
            }
            Location::Url(url) => {
                let reason = format!("its image {url:?} is a URL; expected a path, since this file was opened alone");
                Box::new(move || Err(Unfetched::Refused(reason)))
            }
        }
    }
}

/// A picture under a folder, as a manifest beside it names it.
pub fn picture(folder: &Path, name: &str, limit_bytes: u64) -> Result<Bytes, Unfetched> {
    let refuse = |reason: String| Unfetched::Refused(format!("its image {name:?} {reason}"));
    // An empty parent is the current folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let missing = |error: io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => refuse("is not there".to_owned()),
        _ => Unfetched::Lost(error),
    };
    let folder = folder.canonicalize().map_err(Unfetched::Lost)?;
    let path = folder.join(name).canonicalize().map_err(missing)?;
    if !path.starts_with(&folder) {
        return Err(refuse("is a link out of the manifest's folder".to_owned()));
    }
    // Looked at before it is opened: opening a pipe waits for its writer.
    if !path.is_file() {
        return Err(refuse("is not a file".to_owned()));
    }
    let mut bytes = Vec::new();
    let file = File::open(&path).map_err(missing)?;
    file.take(limit_bytes + 1).read_to_end(&mut bytes).map_err(Unfetched::Lost)?;
    if bytes.len() as u64 > limit_bytes {
        return Err(refuse(format!("has more than {limit_bytes} bytes, the limit")));
    }
    Ok(bytes.into())
}

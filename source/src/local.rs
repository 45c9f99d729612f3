//! A file here, whose manifest may name pictures in stores.

use std::io::{self, Read};
use std::path::Path;

use bytes::Bytes;
use lethe_data::{LocalFile, Location, Origin, Pending};

use crate::error::SourceError;
use crate::remote::picture;
use crate::source::Source;

pub(crate) struct LocalShard {
    file: LocalFile,
    source: Source,
}

impl LocalShard {
    pub fn open(path: &Path, source: Source) -> Result<Self, SourceError> {
        let broken =
            |e: io::Error| SourceError::Broken { name: format!("shard {}", path.display()), problem: e.to_string() };
        Ok(Self { file: LocalFile::open(path).map_err(broken)?, source })
    }
}

impl Origin for LocalShard {
    fn name(&self) -> &str {
        self.file.name()
    }

    fn size_bytes(&self) -> u64 {
        self.file.size_bytes()
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        self.file.stream()
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        self.file.range(start, length)
    }

    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending {
        match location {
            Location::Under(_) => self.file.picture(location, limit_bytes),
            Location::Url(url) => picture(self.source.object(url), limit_bytes),
        }
    }
}

//! A shard that is an object in a store.
//!
//! It must never give bytes of another version than the pinned one.

use std::io::{self, Read};

use bytes::Bytes;
use lethe_data::{Location, Origin, Pending, Unfetched};

use crate::error::SourceError;
use crate::objects::Version;
use crate::pin::Pinned;
use crate::place::Object;
use crate::runtime;
use crate::source::Source;
use crate::stream::{Streamed, whole};

pub(crate) struct Remote {
    object: Object,
    pinned: Pinned,
    source: Source,
}

impl Remote {
    pub fn new(object: Object, pinned: Pinned, source: Source) -> Self {
        Self { object, pinned, source }
    }

    fn version(&self) -> Version {
        Version::Pinned(self.pinned.clone())
    }

    /// A picture beside this manifest.
    fn beside(&self, name: &str) -> Result<Object, SourceError> {
        let folder = self.object.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        self.source.object(&format!("{folder}/{name}"))
    }
}

impl Origin for Remote {
    fn name(&self) -> &str {
        &self.object.name
    }

    fn size_bytes(&self) -> u64 {
        self.pinned.size_bytes
    }

    fn stream(&self) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(Streamed::start(self.object.clone(), self.version(), 0..self.pinned.size_bytes)))
    }

    fn range(&self, start: u64, length: usize) -> io::Result<Bytes> {
        let (object, version) = (self.object.clone(), self.version());
        let range = start..start + length as u64;
        Ok(runtime::wait(async move { whole(&object, &version, range).await })?)
    }

    fn picture(&self, location: &Location, limit_bytes: u64) -> Pending {
        let object = match location {
            Location::Under(name) => self.beside(name),
            Location::Url(url) => self.source.object(url),
        };
        picture(object, limit_bytes)
    }
}

/// Begins to fetch a picture. What a manifest may not name is its sample's fault, and so is a picture that is gone: data sets
/// of the web have many of those.
pub(crate) fn picture(object: Result<Object, SourceError>, limit_bytes: u64) -> Pending {
    let object = match object {
        Ok(object) => object,
        Err(error) => return Box::new(move || Err(Unfetched::Refused(format!("its image: {error}")))),
    };
    let fetched = runtime::start(async move { object.fetch(limit_bytes).await });
    Box::new(move || {
        fetched().map_err(|error| match error {
            SourceError::Broken { .. } => Unfetched::Lost(error.into()),
            SourceError::Spec(_)
            | SourceError::NotHere(_)
            | SourceError::Missing { .. }
            | SourceError::Denied { .. }
            | SourceError::Changed { .. } => Unfetched::Refused(format!("its image: {error}")),
        })
    })
}

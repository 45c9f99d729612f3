//! What an audit reads from: this machine's files, and the stores that its spec names.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use lethe_common::pin::Pin;
use lethe_common::spec::{DataSection, StoreUrl};
use lethe_data::Origin;

use crate::error::SourceError;
use crate::local::LocalShard;
use crate::objects::{self, Store};
use crate::pin::{Pinned, pin_file};
use crate::place::Place;
use crate::remote::Remote;

/// Clones share their connections.
#[derive(Clone)]
pub struct Source {
    stores: Arc<BTreeMap<StoreUrl, Arc<Store>>>,
}

impl Source {
    /// Finds the credentials that the spec points at, in this process's environment and files.
    ///
    /// # Errors
    /// A variable or file that is not there, by its name.
    pub fn of(data: &DataSection) -> Result<Self, SourceError> {
        let allowed: Vec<StoreUrl> = data.stores.keys().filter_map(|url| Some(StoreUrl::split(url).ok()?.0)).collect();
        let mut stores = BTreeMap::new();
        for (url, section) in &data.stores {
            let (url, _) =
                StoreUrl::split(url).map_err(|problem| SourceError::Spec(format!("data.stores: {problem}")))?;
            let store = objects::build(&url, section, &allowed)?;
            stores.insert(url, Arc::new(store));
        }
        Ok(Self { stores: Arc::new(stores) })
    }

    /// This machine's files alone.
    pub fn files() -> Self {
        Self { stores: Arc::default() }
    }

    pub(crate) fn store(&self, url: &StoreUrl) -> Result<Arc<Store>, SourceError> {
        self.stores.get(url).cloned().ok_or_else(|| {
            SourceError::Spec(format!(
                "{url} is in no store of the spec; add [data.stores.\"{url}\"] if it is to be read"
            ))
        })
    }

    /// The version and size of a shard: a file is read whole, an object is asked for.
    pub fn pin(&self, path: &str) -> Result<Pinned, SourceError> {
        match self.place(path)? {
            Place::File(path) => pin_file(&path),
            Place::Object(object) => object.pin(),
        }
    }

    /// Of a shard as it is now.
    pub fn size_bytes(&self, path: &str) -> Result<u64, SourceError> {
        match self.place(path)? {
            Place::File(path) => std::fs::metadata(&path)
                .map(|file| file.len())
                .map_err(|e| SourceError::Broken { name: format!("shard {}", path.display()), problem: e.to_string() }),
            Place::Object(object) => object.pin().map(|pinned| pinned.size_bytes),
        }
    }

    /// A shard whose bytes are those that were pinned, or will be refused while they are read.
    pub fn open(&self, path: &str, pinned: &Pinned) -> Result<Arc<dyn Origin>, SourceError> {
        Ok(match self.place(path)? {
            Place::File(path) => Arc::new(self.open_file(&path, pinned)?),
            Place::Object(object) => Arc::new(Remote::new(object, pinned.clone(), self.clone())),
        })
    }

    fn open_file(&self, path: &Path, pinned: &Pinned) -> Result<LocalShard, SourceError> {
        let found = pin_file(path)?;
        if found.pin != pinned.pin {
            let shown = |pin: &Pin| {
                let (what, value) = pin.shown();
                format!("{what} {value}")
            };
            let problem = format!("it was {} and is {}", shown(&pinned.pin), shown(&found.pin));
            return Err(SourceError::Changed { name: format!("shard {}", path.display()), problem });
        }
        LocalShard::open(path, self.clone())
    }
}

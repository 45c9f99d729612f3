//! A shard's place: a path here, or an object in a store.

use std::path::PathBuf;
use std::sync::Arc;

use lethe_common::spec::{Scheme, StoreUrl};
use object_store::path::Path as Key;

use crate::error::SourceError;
use crate::objects::Store;
use crate::source::Source;

pub(crate) enum Place {
    File(PathBuf),
    Object(Object),
}

#[derive(Clone)]
pub(crate) struct Object {
    pub store: Arc<Store>,
    pub key: Key,
    /// As the spec or manifest names it.
    pub name: String,
}

impl Source {
    pub(crate) fn place(&self, path: &str) -> Result<Place, SourceError> {
        if path.contains("://") { self.object(path).map(Place::Object) } else { Ok(Place::File(PathBuf::from(path))) }
    }

    /// # Errors
    /// A URL of a store that the spec does not name, or that is no URL of an object.
    pub(crate) fn object(&self, url: &str) -> Result<Object, SourceError> {
        let (store, path) = StoreUrl::split(url).map_err(|problem| SourceError::Spec(format!("{url}: {problem}")))?;
        let store = self.store(&store)?;
        let key = key(store.url.scheme, path).map_err(|problem| SourceError::Spec(format!("{url}: {problem}")))?;
        Ok(Object { store, key, name: url.to_owned() })
    }
}

fn key(scheme: Scheme, path: &str) -> Result<Key, String> {
    let key = match scheme {
        Scheme::S3 | Scheme::Gs | Scheme::Az => Key::parse(path).map_err(|e| e.to_string())?,
        Scheme::Https | Scheme::Http if path.contains(['?', '#']) => {
            return Err("a URL with a query is not read, since it may hold a secret".to_owned());
        }
        Scheme::Https | Scheme::Http => Key::from_url_path(path).map_err(|e| e.to_string())?,
    };
    if key.as_ref().is_empty() { Err("expected a path after the store".to_owned()) } else { Ok(key) }
}

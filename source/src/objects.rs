//! Requests to a store: one object's version, its bytes, a listing; each with a deadline and told errors.
//!
//! It must never follow a redirect to where the spec does not let it, or show a secret in what it says.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use lethe_common::pin::Pin;
use lethe_common::spec::{StoreSection, StoreUrl};
use object_store::{Error, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::time::timeout;

use crate::credentials::{self, Purpose, Secrets};
use crate::error::SourceError;
use crate::pin::Pinned;
use crate::place::Object;
use crate::runtime;
use crate::stream::whole;
use crate::tries::Tries;

/// Until an answer's head is here.
const REQUEST_DEADLINE: Duration = Duration::from_secs(30);
/// Between two pieces of a body.
pub(crate) const CHUNK_DEADLINE: Duration = Duration::from_secs(30);
/// Of what a server says.
const MAX_SHOWN_CHARS: usize = 300;

pub(crate) struct Store {
    pub url: StoreUrl,
    pub objects: Arc<dyn ObjectStore>,
    secrets: Secrets,
}

pub(crate) fn build(url: &StoreUrl, section: &StoreSection, allowed: &[StoreUrl]) -> Result<Store, SourceError> {
    let (objects, secrets) = credentials::store(url, section, &Purpose::shards(url, allowed))?;
    Ok(Store { url: url.clone(), objects, secrets })
}

/// Which version of an object is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Version {
    Pinned(Pinned),
    /// Of this size, and from the version that it has now.
    Current(ObjectMeta),
}

impl Version {
    fn etag(&self) -> Option<&str> {
        match self {
            Self::Pinned(Pinned { pin: Pin::Etag(etag), .. }) => Some(etag),
            Self::Pinned(_) => None,
            Self::Current(meta) => meta.e_tag.as_deref(),
        }
    }

    /// What is wrong with what a server gave, if anything: one that ignores If-Match is noticed here.
    fn problem(&self, found: &ObjectMeta) -> Option<String> {
        let (size, pin) = match self {
            Self::Pinned(Pinned { pin, size_bytes }) => (*size_bytes, Some(pin.clone())),
            Self::Current(meta) => (meta.size, pin_of(meta)),
        };
        if found.size != size {
            return Some(format!("it had {size} bytes and has {}", found.size));
        }
        let same = match &pin {
            Some(Pin::Etag(etag)) => found.e_tag.as_ref() == Some(etag),
            Some(Pin::Modified(when)) => *when == found.last_modified.to_rfc3339(),
            Some(Pin::Digest(_)) => false,
            None => true,
        };
        (!same).then(|| "its version is another".to_owned())
    }
}

fn pin_of(meta: &ObjectMeta) -> Option<Pin> {
    let dated = meta.last_modified.timestamp() > 0;
    let modified = || dated.then(|| Pin::Modified(meta.last_modified.to_rfc3339()));
    meta.e_tag.clone().map(Pin::Etag).or_else(modified)
}

impl Object {
    /// Asks for the version and size.
    pub fn pin(&self) -> Result<Pinned, SourceError> {
        let object = self.clone();
        let meta = runtime::wait(async move { object.head().await })?;
        let pin = pin_of(&meta).ok_or_else(|| {
            self.broken(
                "its server gives neither an ETag nor a date, so a change would go unnoticed; copy it to a store"
                    .to_owned(),
            )
        })?;
        Ok(Pinned { pin, size_bytes: meta.size })
    }

    /// All of it as it is now, if that is no more than the limit.
    pub async fn fetch(&self, limit_bytes: u64) -> Result<Bytes, SourceError> {
        let meta = self.head().await?;
        if meta.size > limit_bytes {
            return Err(SourceError::Spec(format!(
                "{} has {} bytes; the limit is {limit_bytes}",
                self.name, meta.size
            )));
        }
        let size = meta.size;
        whole(self, &Version::Current(meta), 0..size).await
    }

    async fn head(&self) -> Result<ObjectMeta, SourceError> {
        let mut tries = Tries::new();
        loop {
            let error = match timeout(REQUEST_DEADLINE, self.store.objects.head(&self.key)).await {
                Ok(Ok(meta)) => return Ok(meta),
                Ok(Err(error)) => self.told(error),
                Err(_) => self.late(),
            };
            let pause = if error.passes() { tries.next() } else { None };
            tokio::time::sleep(pause.ok_or(error)?).await;
        }
    }

    /// The bytes of a range, once.
    pub async fn get(
        &self,
        version: &Version,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, object_store::Result<Bytes>>, SourceError> {
        let options = GetOptions {
            if_match: version.etag().map(str::to_owned),
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        let asked = timeout(REQUEST_DEADLINE, self.store.objects.get_opts(&self.key, options)).await;
        let found: GetResult = asked.map_err(|_| self.late())?.map_err(|error| self.told(error))?;
        match version.problem(&found.meta) {
            Some(problem) => Err(SourceError::Changed { name: self.name.clone(), problem }),
            None => Ok(found.into_stream()),
        }
    }

    fn late(&self) -> SourceError {
        self.broken(format!("no answer came for {} s", REQUEST_DEADLINE.as_secs()))
    }

    pub fn broken(&self, problem: String) -> SourceError {
        SourceError::Broken { name: self.name.clone(), problem }
    }

    pub fn told(&self, error: Error) -> SourceError {
        self.store.told(&self.name, error)
    }
}

impl Store {
    /// What an error means, without what may be secret.
    pub fn told(&self, name: &str, error: Error) -> SourceError {
        let name = name.to_owned();
        match error {
            Error::NotFound { .. } => SourceError::Missing { name },
            Error::Precondition { .. } => SourceError::Changed { name, problem: "its version is another".to_owned() },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                SourceError::Denied { name, store: self.url.to_string() }
            }
            other if is_redirect(&other) => SourceError::Spec(format!("{name}: {}", self.shown(&other))),
            other => SourceError::Broken { name, problem: self.shown(&other) },
        }
    }

    fn shown(&self, error: &Error) -> String {
        let mut text = error.to_string();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let own = error.to_string();
            if !text.contains(&own) {
                text = format!("{text}: {own}");
            }
            cause = error.source();
        }
        let text = self.secrets.hide(text).replace('\n', " ");
        text.chars().take(MAX_SHOWN_CHARS).collect()
    }
}

/// A redirect that was not followed leads to the same place next time.
fn is_redirect(error: &Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_redirect) {
            return true;
        }
        cause = error.source();
    }
    false
}

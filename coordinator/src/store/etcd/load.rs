//! Reading everything under a prefix, page by page at one revision.
//!
//! It must never mix two moments: where the revision is compacted away meanwhile, it begins anew.

use etcd_client::{Client, GetOptions, GetResponse, ResponseHeader};

use super::{DEADLINE, EtcdStore};
use crate::store::StoreError;
use crate::store::own::is_own;

/// Keys a page; halved where a page outgrows what the client takes in one message.
const PAGE_KEYS: i64 = 1_000;
const MAX_RESTARTS: usize = 5;

/// What a page's request says: the key it begins at, and the moment it reads.
#[derive(Clone)]
struct Request {
    from: Vec<u8>,
    end: Vec<u8>,
    keys: i64,
    revision: i64,
}

impl Request {
    async fn send(self, client: Client) -> Result<GetResponse, etcd_client::Error> {
        let options = GetOptions::new().with_range(self.end).with_limit(self.keys).with_revision(self.revision);
        client.kv_client().get(self.from, Some(options)).await
    }
}

impl EtcdStore {
    pub(in crate::store) async fn load(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut restarts = 0;
        loop {
            match self.load_once(prefix).await {
                Err(error) if restarts < MAX_RESTARTS && says(&error, "compacted") => restarts += 1,
                loaded => return loaded,
            }
        }
    }

    async fn load_once(&self, prefix: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut request = self.whole(prefix);
        let mut loaded = Vec::new();
        loop {
            let page = match self.page(&request).await {
                Err(error) if request.keys > 1 && says(&error, "message length too large") => {
                    request.keys /= 2;
                    continue;
                }
                page => page?,
            };
            for kv in page.kvs() {
                let key = self.strip(kv.key())?;
                if !is_own(&key) {
                    loaded.push((key, kv.value().to_vec()));
                }
            }
            let Some(last) = page.kvs().last().filter(|_| page.more()) else { return Ok(loaded) };
            request.from = [last.key(), b"\0"].concat();
            // A header tells the store's own revision, which goes on meanwhile: all pages are of the first one's.
            if request.revision == 0 {
                request.revision = page.header().map_or(0, ResponseHeader::revision);
            }
        }
    }

    fn whole(&self, prefix: &str) -> Request {
        let from = self.key(prefix).into_bytes();
        let mut end = from.clone();
        // Never empty, and UTF-8 has no byte 255.
        *end.last_mut().expect("our prefix is at least a slash") += 1;
        Request { from, end, keys: PAGE_KEYS, revision: 0 }
    }

    async fn page(&self, request: &Request) -> Result<GetResponse, StoreError> {
        self.members.call("load", DEADLINE, |client| request.clone().send(client)).await
    }

    fn strip(&self, key: &[u8]) -> Result<String, StoreError> {
        let text = std::str::from_utf8(key).ok().and_then(|key| key.strip_prefix(&*self.prefix));
        text.map(str::to_owned).ok_or_else(|| StoreError::Damaged {
            key: String::from_utf8_lossy(key).into_owned(),
            reason: "it is no text".to_owned(),
        })
    }
}

fn says(error: &StoreError, words: &str) -> bool {
    matches!(error, StoreError::Etcd { reason, .. } if reason.contains(words))
}

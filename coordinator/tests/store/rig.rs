//! A place for a store of either kind, and what tests do to it.

use std::future::Future;
use std::time::Duration;

use lethe_common::ids::Term;
use lethe_coordinator::store::{Batch, Candidate, EtcdAddress, Fence, Outcome, Reign, Store, StoreError};
use lethe_servers::{EtcdCluster, EtcdOptions};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// etcd grants no shorter lease with its default election time.
pub const TTL: Duration = Duration::from_secs(3);

/// Every wait of a test has this deadline.
pub async fn soon<T>(what: &str, wait: impl Future<Output = T>) -> T {
    timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

pub enum Rig {
    Embedded(TempDir),
    Etcd(EtcdCluster),
}

impl Rig {
    pub fn embedded() -> Self {
        Self::Embedded(tempfile::tempdir().expect("makes a folder"))
    }

    pub fn etcd() -> Self {
        Self::Etcd(EtcdCluster::start(1, EtcdOptions::default()).expect("starts"))
    }

    pub fn is_etcd(&self) -> bool {
        matches!(self, Self::Etcd(_))
    }

    pub async fn try_open(&self) -> Result<Store, StoreError> {
        match self {
            Self::Embedded(folder) => Store::open(folder.path()),
            Self::Etcd(cluster) => Store::connect(&EtcdAddress::new(cluster.endpoints())).await,
        }
    }

    /// Another handle; the embedded store's is to be had once nobody else has one.
    pub async fn open(&self) -> Store {
        loop {
            match self.try_open().await {
                Err(StoreError::Locked { .. }) => sleep(LOOK_EVERY).await,
                opened => return opened.expect("opens"),
            }
        }
    }

    /// Stands for election as another process would.
    pub async fn stand(&self, name: &str) -> (Store, Reign) {
        let store = self.open().await;
        let reign = store.campaign(&candidate(name)).await.expect("campaigns");
        (store, reign)
    }

    /// Writes past the store's own rules, as a hand would. The store must be closed.
    pub async fn overwrite(&self, key: &str, value: &[u8]) {
        match self {
            Self::Embedded(folder) => overwrite_file(folder, key, value),
            Self::Etcd(cluster) => {
                let mut client = raw(&cluster.endpoints()).await;
                client.put(format!("/lethe/{key}"), value, None).await.expect("puts");
            }
        }
    }
}

fn overwrite_file(folder: &TempDir, key: &str, value: &[u8]) {
    let table = redb::TableDefinition::<&str, &[u8]>::new("lethe");
    let database = redb::Database::create(folder.path().join("store.redb")).expect("opens");
    let write = database.begin_write().expect("begins");
    write.open_table(table).expect("has the table").insert(key, value).expect("puts");
    write.commit().expect("commits");
}

/// etcd without the store's code.
pub async fn raw(endpoints: &[String]) -> etcd_client::Client {
    etcd_client::Client::connect(endpoints, None).await.expect("connects")
}

/// How often a key of ours was written since it was made.
pub async fn version(client: &mut etcd_client::Client, key: &str) -> i64 {
    let found = client.get(format!("/lethe/{key}"), None).await.expect("reads");
    found.kvs().first().map_or(0, |kv| kv.version())
}

pub fn candidate(name: &str) -> Candidate {
    Candidate { address: format!("http://{name}:1"), ttl: TTL }
}

pub fn fence(term: Term, batch: u64) -> Fence {
    Fence { term, batch }
}

pub fn puts(entries: &[(&str, &str)]) -> Batch {
    let puts = entries.iter().map(|(key, value)| ((*key).to_owned(), value.as_bytes().to_vec())).collect();
    Batch { puts, ..Batch::default() }
}

pub fn assert_applied(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Applied), "{outcome:?}");
}

/// What lies in the store, as text.
pub async fn contents(store: &Store, prefix: &str) -> Vec<(String, String)> {
    let loaded = store.load(prefix).await.expect("loads");
    loaded.into_iter().map(|(key, value)| (key, String::from_utf8(value).expect("is text"))).collect()
}

pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let start = Instant::now();
    while !holds().await {
        assert!(start.elapsed() < DEADLINE, "waited {DEADLINE:?} until {what}");
        sleep(LOOK_EVERY).await;
    }
}

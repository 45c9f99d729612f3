//! Measures both stores: durable commits a second one after the other, and loading many keys.
//!
//! It must never be read as a promise: the disk under the temporary folder decides.

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use lethe_common::ids::Term;
use lethe_coordinator::store::{Batch, Candidate, EtcdAddress, Fence, Outcome, Store};
use lethe_servers::{EtcdCluster, EtcdOptions};

const MEASURED: Duration = Duration::from_secs(8);
const LOADED_KEYS: u64 = 50_000;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = EtcdCluster::start(3, EtcdOptions::default())?;
    let stores = [Store::open(folder.path())?, Store::connect(&EtcdAddress::new(cluster.endpoints())).await?];
    for store in &stores {
        println!("{}", store.describe());
        let me = Candidate { address: "nowhere".to_owned(), ttl: Duration::from_secs(10) };
        let reign = store.campaign(&me).await?;
        let mut writer = Writer { store, fence: Fence { term: reign.term, batch: 0 } };
        for puts in [1, 50] {
            println!("  commits of {puts} x 3 kB a second: {:.0}", writer.rate(puts, 3_000).await?);
        }
        writer.fill().await?;
        let start = Instant::now();
        let loaded = store.load("load/").await?.len();
        println!(
            "  {loaded} keys of 1 kB load in {:.2} s; {:?}",
            start.elapsed().as_secs_f64(),
            store.maintain().await?
        );
        reign.resign().await;
    }
    Ok(())
}

struct Writer<'s> {
    store: &'s Store,
    fence: Fence,
}

impl Writer<'_> {
    async fn rate(&mut self, puts: u64, bytes: usize) -> anyhow::Result<f64> {
        let (start, first) = (Instant::now(), self.fence.batch);
        while start.elapsed() < MEASURED {
            self.commit(batch("rate", 0..puts, bytes)).await?;
        }
        Ok((self.fence.batch - first) as f64 / start.elapsed().as_secs_f64())
    }

    async fn fill(&mut self) -> anyhow::Result<()> {
        for from in (0..LOADED_KEYS).step_by(100) {
            self.commit(batch("load", from..from + 100, 1_000)).await?;
        }
        Ok(())
    }

    async fn commit(&mut self, batch: Batch) -> anyhow::Result<()> {
        self.fence.batch = self.fence.batch.checked_add(1).context("has no next number")?;
        match self.store.commit(self.fence, &batch).await {
            Outcome::Applied => Ok(()),
            Outcome::Conflict { current: Term(current) } => bail!("term {current} is current"),
            Outcome::Unknown(error) | Outcome::Refused(error) => Err(error.into()),
        }
    }
}

fn batch(folder: &str, keys: std::ops::Range<u64>, bytes: usize) -> Batch {
    Batch { puts: keys.map(|key| (format!("{folder}/{key:06}"), vec![b'x'; bytes])).collect(), ..Batch::default() }
}

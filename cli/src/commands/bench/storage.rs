//! Where the coordinator of a measurement keeps its state.
//!
//! It must never leave state behind: folders and etcd members go when it is dropped.

use std::path::Path;

use anyhow::Context;
use lethe_coordinator::store::{EtcdAddress, Store};
use lethe_servers::{EtcdCluster, EtcdOptions};
use tempfile::TempDir;

use super::prefill::{Filling, fill};

/// As at scale: one may fail.
const ETCD_MEMBERS: usize = 3;

/// A work folder, and an etcd where the state does not lie in it.
pub struct Storage {
    folder: TempDir,
    etcd: Option<EtcdCluster>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Embedded,
    Etcd,
}

impl Storage {
    pub async fn start(kind: Kind, filling: Filling) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lethe-bench-").tempdir()?;
        let etcd = match kind {
            Kind::Embedded => None,
            Kind::Etcd => {
                let start = || EtcdCluster::start(ETCD_MEMBERS, EtcdOptions::default());
                Some(tokio::task::spawn_blocking(start).await?.context("cannot start etcd")?)
            }
        };
        let storage = Self { folder, etcd };
        fill(&storage.open().await?, filling).await?;
        Ok(storage)
    }

    async fn open(&self) -> anyhow::Result<Store> {
        Ok(match self.url() {
            None => Store::open(self.work())?,
            Some(url) => {
                let address: EtcdAddress = url.parse().map_err(|e| anyhow::anyhow!("{url}: {e}"))?;
                Store::connect(&address).await?
            }
        })
    }

    pub fn work(&self) -> &Path {
        self.folder.path()
    }

    /// What `--store` is given, where the state is not in the work folder.
    pub fn url(&self) -> Option<String> {
        let endpoints = self.etcd.as_ref()?.endpoints();
        let hosts: Vec<&str> = endpoints.iter().map(|url| url.trim_start_matches("http://")).collect();
        Some(format!("etcd://{}", hosts.join(",")))
    }
}

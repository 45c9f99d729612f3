//! A coordinator as a process of its own, with what it cost.
//!
//! It must never outlive the benchmark: it ends when its stdin closes.

use std::net::SocketAddr;

use anyhow::Context;

use super::proc;
use super::storage::Storage;
use crate::cluster::{Launch, Process, Stdout, Token, listening_address, sibling, words};

pub struct Coordinator {
    process: Process,
    pub address: SocketAddr,
    pub pid: u32,
}

impl Coordinator {
    /// Starts one on a free port; it listens, and may not lead yet.
    pub async fn start(storage: &Storage, name: &str, token: &Token) -> anyhow::Result<Self> {
        let mut arguments = words(["--listen", "127.0.0.1:0", "--parent-stdin", "--heartbeat-ms", "1000"]);
        arguments.extend(["--work".into(), storage.work().into()]);
        arguments.extend(["--results".into(), storage.work().join("results").into()]);
        if let Some(url) = storage.url() {
            arguments.extend(["--store".into(), url.into()]);
        }
        let mut process = Process::start(&Launch {
            name: name.to_owned(),
            program: sibling("lethe-coordinator")?,
            arguments,
            stdout: Stdout::Read,
            log: storage.work().join(format!("{name}.log")),
            token: token.clone(),
        })?;
        let pid = process.id().context("the coordinator ended at once")?;
        let address = listening_address(&mut process).await?;
        Ok(Self { process, address, pid })
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn peak_bytes(&self) -> anyhow::Result<u64> {
        proc::peak_bytes(self.pid)
    }

    /// SIGKILL.
    pub async fn kill(mut self) {
        self.process.kill().await;
    }

    pub async fn stop(mut self) {
        self.process.stop().await;
    }
}

//! A coordinator as a process of its own, with what it cost.
//!
//! It must never outlive the benchmark: it ends when its stdin closes.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::proc;
use super::storage::Storage;
use crate::cluster::{Launch, Process, Stdout, Token, listening_address, sibling, words};

/// What a coordinator runs under.
#[derive(Debug, Clone)]
pub enum Under {
    /// Itself.
    Nothing,
    /// Valgrind's callgrind, which writes its counts there at the end. Everything is some fifty times slower.
    Callgrind(PathBuf),
}

impl Under {
    fn program(&self) -> anyhow::Result<(PathBuf, Vec<OsString>)> {
        let coordinator = sibling("lethe-coordinator")?;
        Ok(match self {
            Self::Nothing => (coordinator, Vec::new()),
            Self::Callgrind(counts) => {
                let mut file = OsString::from("--callgrind-out-file=");
                file.push(counts);
                ("valgrind".into(), vec!["--tool=callgrind".into(), file, coordinator.into()])
            }
        })
    }

    fn heartbeat_ms(&self) -> &'static str {
        match self {
            Self::Nothing => "1000",
            // As slow as it is, nobody must be called silent.
            Self::Callgrind(_) => "60000",
        }
    }
}

pub struct Coordinator {
    process: Process,
    pub address: SocketAddr,
    pub pid: u32,
    scheme: &'static str,
}

/// How one is started.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    pub storage: &'a Storage,
    pub name: &'a str,
    pub token: &'a Token,
    /// The folder of its certificate; in the clear without it.
    pub tls: Option<&'a Path>,
}

impl Coordinator {
    /// Starts one on a free port; it listens, and may not lead yet.
    pub async fn start(storage: &Storage, name: &str, token: &Token) -> anyhow::Result<Self> {
        Self::begin(Start { storage, name, token, tls: None }).await
    }

    pub async fn begin(start: Start<'_>) -> anyhow::Result<Self> {
        Self::begin_under(&Under::Nothing, start).await
    }

    pub async fn begin_under(under: &Under, start: Start<'_>) -> anyhow::Result<Self> {
        let Start { storage, name, token, tls } = start;
        let (program, mut arguments) = under.program()?;
        arguments.extend(words(["--listen", "127.0.0.1:0", "--parent-stdin", "--heartbeat-ms", under.heartbeat_ms()]));
        arguments.extend(["--work".into(), storage.work().into()]);
        arguments.extend(["--results".into(), storage.work().join("results").into()]);
        if let Some(url) = storage.url() {
            arguments.extend(["--store".into(), url.into()]);
        }
        if let Some(folder) = tls {
            arguments.extend(["--tls".into(), folder.into()]);
        }
        let mut process = Process::start(&Launch {
            name: name.to_owned(),
            program,
            arguments,
            stdout: Stdout::Read,
            log: storage.work().join(format!("{name}.log")),
            token: token.clone(),
        })?;
        let pid = process.id().context("the coordinator ended at once")?;
        let address = listening_address(&mut process).await?;
        let scheme = if tls.is_some() { "https" } else { "http" };
        Ok(Self { process, address, pid, scheme })
    }

    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
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

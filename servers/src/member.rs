//! One etcd process: its ports, its folder, its log.
//!
//! It must never leave its process behind.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::EtcdOptions;
use crate::error::{ServersError, tail};
use crate::spawner::Spawner;

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    pub client: SocketAddr,
    pub peer: SocketAddr,
    folder: PathBuf,
    child: Option<Child>,
}

impl Member {
    pub fn new(index: usize, folder: &Path) -> std::io::Result<Self> {
        let name = format!("m{index}");
        let [client, peer] = free_addresses()?;
        Ok(Self { folder: folder.join(&name), name, client, peer, child: None })
    }

    /// The peer as etcd's `--initial-cluster` wants it.
    pub fn as_peer(&self) -> String {
        format!("{}=http://{}", self.name, self.peer)
    }

    pub fn start(
        &mut self,
        program: &Path,
        peers: &str,
        options: &EtcdOptions,
        spawner: &Spawner,
    ) -> Result<(), ServersError> {
        std::fs::create_dir_all(&self.folder)?;
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut command = Command::new(program);
        command
            .args(self.arguments(peers))
            .args(options.arguments())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child =
            spawner.spawn(command).map_err(|source| ServersError::Start { program: program.to_owned(), source })?;
        self.child = Some(child);
        Ok(())
    }

    fn arguments(&self, peers: &str) -> Vec<String> {
        let (client, peer) = (format!("http://{}", self.client), format!("http://{}", self.peer));
        let data = self.folder.join("data").display().to_string();
        [
            ("name", self.name.as_str()),
            ("data-dir", &data),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", peers),
            ("logger", "zap"),
        ]
        .map(|(flag, value)| format!("--{flag}={value}"))
        .to_vec()
    }

    pub fn signal(&self, signal: Signal) {
        if let Some(child) = &self.child {
            let pid = Pid::from_raw(child.id().try_into().expect("a pid is an i32"));
            kill(pid, signal).ok(); // it may have ended, which the next wait shows
        }
    }

    /// SIGKILL, and waits for the end, so that the ports are free again.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill()); // it may have ended already
            drop(child.wait());
        }
    }

    pub fn was_started(&self) -> bool {
        self.child.is_some()
    }

    /// Whether it ended without being told to.
    pub fn has_ended(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None)))
    }

    pub fn port_was_taken(&self) -> bool {
        self.log_tail().contains("address already in use")
    }

    pub fn log_tail(&self) -> String {
        tail(&self.log())
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Two free ports, released at once: another process may take one, which the start then shows.
fn free_addresses() -> std::io::Result<[SocketAddr; 2]> {
    let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let (one, two) = (bind()?, bind()?);
    Ok([one.local_addr()?, two.local_addr()?])
}

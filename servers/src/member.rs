//! One etcd process: its place, its folder, its log.
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

/// Where a member runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Where clients reach it.
    pub client: SocketAddr,
    /// Where the other members reach it.
    pub peer: SocketAddr,
    /// Where it says in the clear whether it is healthy.
    pub health: SocketAddr,
    /// A process whose network namespace it runs in; none for the caller's own.
    pub network_of: Option<u32>,
}

impl Place {
    /// Loopback, with three free ports, released at once: another process may take one, which the start then shows.
    pub(crate) fn free() -> std::io::Result<Self> {
        let bind = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (client, peer, health) = (bind()?, bind()?, bind()?);
        let [client, peer, health] = [client.local_addr()?, peer.local_addr()?, health.local_addr()?];
        Ok(Self { client, peer, health, network_of: None })
    }

    fn command(&self, program: &Path) -> Command {
        let Some(process) = self.network_of else { return Command::new(program) };
        let mut command = Command::new("nsenter");
        command.args(["--target", &process.to_string(), "--net"]).arg(program);
        command
    }
}

#[derive(Debug)]
pub(crate) struct Member {
    pub name: String,
    pub place: Place,
    folder: PathBuf,
    child: Option<Child>,
}

impl Member {
    pub fn new(index: usize, place: Place, folder: &Path) -> Self {
        let name = format!("m{index}");
        Self { folder: folder.join(&name), name, place, child: None }
    }

    /// The peer as etcd's `--initial-cluster` wants it.
    pub fn as_peer(&self) -> String {
        format!("{}=http://{}", self.name, self.place.peer)
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
        let mut command = self.place.command(program);
        command
            .args(self.arguments(peers, options.scheme()))
            .args(options.arguments())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let child =
            spawner.spawn(command).map_err(|source| ServersError::Start { program: program.to_owned(), source })?;
        self.child = Some(child);
        Ok(())
    }

    fn arguments(&self, peers: &str, scheme: &str) -> Vec<String> {
        let (client, peer) = (format!("{scheme}://{}", self.place.client), format!("http://{}", self.place.peer));
        let health = format!("http://{}", self.place.health);
        let data = self.folder.join("data").display().to_string();
        [
            ("name", self.name.as_str()),
            ("data-dir", &data),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-metrics-urls", &health),
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

//! An etcd cluster on loopback whose members can be killed, stopped and started again.
//!
//! It must never report a cluster that cannot take a write: every wait is on health, with a deadline.
//! Its calls block; async tests need a runtime of several threads.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use crate::error::ServersError;
use crate::member::{Member, Place};
use crate::probe;
use crate::spawner::Spawner;

const HEALTH_DEADLINE: Duration = Duration::from_secs(120);
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// A port can be taken between its choice and its use.
const MAX_STARTS: usize = 5;

/// What etcd is started with; by default as it comes.
#[derive(Debug, Clone, Default)]
pub struct EtcdOptions {
    pub quota_backend_bytes: Option<u64>,
    pub heartbeat_ms: Option<u64>,
    /// At least five heartbeats.
    pub election_ms: Option<u64>,
    /// Loses committed writes when the machine fails; for tests about anything else.
    pub unsafe_no_fsync: bool,
    /// A folder with `tls.crt`, `tls.key` and `ca.crt`: clients are spoken to over TLS, and asked for a certificate of that authority.
    pub certificates: Option<PathBuf>,
}

impl EtcdOptions {
    pub(crate) fn arguments(&self) -> Vec<String> {
        let numbers = [
            ("quota-backend-bytes", self.quota_backend_bytes),
            ("heartbeat-interval", self.heartbeat_ms),
            ("election-timeout", self.election_ms),
        ];
        let numbers = numbers.into_iter().filter_map(|(flag, value)| Some(format!("--{flag}={}", value?)));
        let files = self.certificates.iter().flat_map(|folder| {
            let file = |flag: &str, name: &str| format!("--{flag}={}", folder.join(name).display());
            let asks = "--client-cert-auth".to_owned();
            [file("cert-file", "tls.crt"), file("key-file", "tls.key"), file("trusted-ca-file", "ca.crt"), asks]
        });
        let careless = self.unsafe_no_fsync.then(|| "--unsafe-no-fsync".to_owned());
        numbers.chain(careless).chain(files).collect()
    }

    pub(crate) fn scheme(&self) -> &'static str {
        if self.certificates.is_some() { "https" } else { "http" }
    }
}

/// Dropping it kills every member and removes their folder. Members go before the spawner's thread.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Member>,
    program: PathBuf,
    options: EtcdOptions,
    spawner: Spawner,
    folder: TempDir,
}

impl EtcdCluster {
    /// Starts `members` members and waits until all are healthy.
    ///
    /// # Errors
    /// No etcd, or members that did not come up, with the ends of their logs.
    pub fn start(members: usize, options: EtcdOptions) -> Result<Self, ServersError> {
        let program = program()?;
        let mut tries = 0;
        loop {
            tries += 1;
            let places = (0..members).map(|_| Place::free()).collect::<Result<_, _>>()?;
            let mut cluster = Self::prepare(places, program.clone(), options.clone())?;
            match cluster.start_all() {
                Err(ServersError::Ended { member, .. })
                    if tries < MAX_STARTS && cluster.members[member].port_was_taken() => {}
                started => return started.map(|()| cluster),
            }
        }
    }

    /// Starts a member in each of these places, for tests of the network between them.
    ///
    /// # Errors
    /// As [`Self::start`]; a port that is taken is one too.
    pub fn start_in(places: Vec<Place>, options: EtcdOptions) -> Result<Self, ServersError> {
        let mut cluster = Self::prepare(places, program()?, options)?;
        cluster.start_all().map(|()| cluster)
    }

    fn prepare(places: Vec<Place>, program: PathBuf, options: EtcdOptions) -> Result<Self, ServersError> {
        let folder = tempfile::Builder::new().prefix("etcd-").tempdir()?;
        let places = places.into_iter().enumerate();
        let members = places.map(|(index, place)| Member::new(index, place, folder.path())).collect();
        Ok(Self { members, program, options, spawner: Spawner::new(), folder })
    }

    fn start_all(&mut self) -> Result<(), ServersError> {
        for index in 0..self.members.len() {
            self.restart(index)?;
        }
        self.wait_healthy()
    }

    /// Client addresses as URLs, one a member.
    pub fn endpoints(&self) -> Vec<String> {
        self.members.iter().map(|member| format!("{}://{}", self.options.scheme(), member.place.client)).collect()
    }

    /// SIGKILL.
    pub fn kill(&mut self, index: usize) {
        self.members[index].kill();
    }

    /// SIGSTOP: the member's connections stay open and nothing answers.
    pub fn stop_signal(&self, index: usize) {
        self.members[index].signal(Signal::SIGSTOP);
    }

    /// SIGCONT.
    pub fn cont(&self, index: usize) {
        self.members[index].signal(Signal::SIGCONT);
    }

    /// Starts a killed member on its old data and ports; [`Self::wait_healthy`] waits for it.
    pub fn restart(&mut self, index: usize) -> Result<(), ServersError> {
        let peers: Vec<String> = self.members.iter().map(Member::as_peer).collect();
        self.members[index].start(&self.program, &peers.join(","), &self.options, &self.spawner)
    }

    /// Waits until every member that is not killed is healthy.
    ///
    /// # Errors
    /// A member that ended by itself, or the deadline; both with logs.
    pub fn wait_healthy(&mut self) -> Result<(), ServersError> {
        self.wait("healthy", |cluster| {
            cluster
                .members
                .iter()
                .filter(|member| member.was_started())
                .all(|member| probe::is_healthy(member.place.health))
        })
    }

    /// The index of the member that leads; waits for one.
    ///
    /// # Errors
    /// No leader within the deadline.
    pub fn leader(&mut self) -> Result<usize, ServersError> {
        let mut found = None;
        self.wait("led", |cluster| {
            found = cluster.members.iter().position(|member| {
                member.was_started() && probe::leader(member.place.client).is_some_and(|(own, leader)| own == leader)
            });
            found.is_some()
        })?;
        Ok(found.expect("the wait ended with one"))
    }

    /// Where the members keep their data and logs: `m0/log`, `m1/log`, ...
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn wait(&mut self, wanted: &'static str, mut holds: impl FnMut(&Self) -> bool) -> Result<(), ServersError> {
        let start = Instant::now();
        while !holds(self) {
            if let Some(member) = self.members.iter_mut().position(Member::has_ended) {
                return Err(ServersError::Ended { member, log: self.members[member].log_tail() });
            }
            if start.elapsed() > HEALTH_DEADLINE {
                let logs = self.members.iter().map(|member| format!("{}:\n{}\n", member.name, member.log_tail()));
                let seconds = HEALTH_DEADLINE.as_secs();
                return Err(ServersError::Deadline { wanted, seconds, logs: logs.collect() });
            }
            std::thread::sleep(PROBE_EVERY);
        }
        Ok(())
    }
}

/// ETCD, or the etcd on PATH.
fn program() -> Result<PathBuf, ServersError> {
    if let Some(named) = std::env::var_os("ETCD").filter(|named| !named.is_empty()) {
        return Ok(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("etcd"))
        .find(|file| file.is_file())
        .ok_or(ServersError::NoEtcd)
}

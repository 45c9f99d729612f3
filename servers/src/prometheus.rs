//! A Prometheus on loopback that scrapes what it is told to, every second.
//!
//! It must never be asked before it is ready; what it answers is its own JSON.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use crate::error::{ServersError, tail};
use crate::spawner::Spawner;

const READY_DEADLINE: Duration = Duration::from_secs(60);
const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// A port can be taken between its choice and its use.
const MAX_STARTS: usize = 5;

/// Dropping it kills the process and removes its folder. The child goes before the spawner's thread.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _spawner: Spawner,
    folder: TempDir,
}

/// A job's name and whom it scrapes.
pub type Job = (&'static str, Vec<SocketAddr>);

impl Prometheus {
    /// Starts one with these jobs and the rules of a file, and waits until it is ready.
    ///
    /// # Errors
    /// No Prometheus, or one that did not come up, with the end of its log.
    pub fn start(jobs: &[Job], rules: &Path) -> Result<Self, ServersError> {
        let program = prometheus_program("prometheus")?;
        let mut tries = 0;
        loop {
            tries += 1;
            let mut started = Self::start_once(&program, jobs, rules)?;
            match started.wait_ready() {
                Err(ServersError::Prometheus { log, .. }) if tries < MAX_STARTS && log.contains("already in use") => {}
                ready => return ready.map(|()| started),
            }
        }
    }

    fn start_once(program: &Path, jobs: &[Job], rules: &Path) -> Result<Self, ServersError> {
        let folder = tempfile::Builder::new().prefix("prometheus-").tempdir()?;
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, configuration(jobs, rules).to_string())?; // JSON is YAML
        // Released at once: another process may take it, which the start then shows.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let mut command = Command::new(program);
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let spawner = Spawner::new();
        let child = spawner.spawn(command).map_err(|source| ServersError::Start { program: program.into(), source })?;
        Ok(Self { child, address, _spawner: spawner, folder })
    }

    fn wait_ready(&mut self) -> Result<(), ServersError> {
        let by = Instant::now() + READY_DEADLINE;
        loop {
            if exchange(self.address, "/-/ready").is_some_and(|(head, _)| head.contains(" 200 ")) {
                return Ok(());
            }
            let has_ended = !matches!(self.child.try_wait(), Ok(None));
            if has_ended || Instant::now() > by {
                return Err(ServersError::Prometheus { log: self.log() });
            }
            std::thread::sleep(PROBE_EVERY);
        }
    }

    /// What an expression gives now: samples, each with its labels and value.
    pub fn query(&self, expression: &str) -> Vec<Value> {
        self.ask(&format!("/api/v1/query?query={}", encoded(expression)))["result"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    }

    /// The `data` of an answer; null where there was none.
    pub fn ask(&self, path: &str) -> Value {
        let body = exchange(self.address, path).map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str::<Value>(&body).map(|answer| answer["data"].clone()).unwrap_or_default()
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        tail(&self.folder.path().join("log"))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended already
        drop(self.child.wait());
    }
}

fn configuration(jobs: &[Job], rules: &Path) -> Value {
    let job = |(name, targets): &Job| {
        let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
        serde_json::json!({ "job_name": name, "static_configs": [{ "targets": targets }] })
    };
    serde_json::json!({
        "global": { "scrape_interval": "1s", "evaluation_interval": "1s" },
        "rule_files": [rules.display().to_string()],
        "scrape_configs": jobs.iter().map(job).collect::<Vec<_>>(),
    })
}

fn encoded(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(byte);
    let one = |byte: u8| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The head and the body of an answer, which HTTP/1.0 ends with the connection.
fn exchange(address: SocketAddr, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_DEADLINE).ok()?;
    stream.set_read_timeout(Some(ANSWER_DEADLINE)).ok()?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.split_once("\r\n\r\n").map(|(head, body)| (head.to_owned(), body.to_owned()))
}

/// `prometheus` or `promtool`: in the folder that PROMETHEUS names, or on PATH.
///
/// # Errors
/// There is none.
pub fn prometheus_program(name: &str) -> Result<PathBuf, ServersError> {
    if let Some(folder) = std::env::var_os("PROMETHEUS").filter(|named| !named.is_empty()) {
        return Ok(PathBuf::from(folder).join(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| ServersError::NoPrometheus(name.to_owned()))
}

//! A server that others wrote and that speaks S3 with uploads in parts and bulk deletion (moto), with one empty bucket.
//!
//! It must never be asked for more than S3's protocol: it knows neither faults nor signatures, which ours is for.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::error::{ServersError, tail};
use crate::spawner::Spawner;

/// A Python server with many imports, on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(120);
const PROBE_PAUSE: Duration = Duration::from_millis(50);
const ANSWER_DEADLINE: Duration = Duration::from_secs(10);
/// Ports that another process took in between.
const TRIES: usize = 5;

#[derive(Debug)]
pub struct BucketServer {
    address: SocketAddr,
    child: Child,
    folder: TempDir,
    _spawner: Spawner,
}

impl BucketServer {
    /// Starts what MOTO_SERVER names, on a free port of loopback, and makes the bucket.
    pub fn start(bucket: &str) -> Result<Self, ServersError> {
        let program = std::env::var_os("MOTO_SERVER").map(PathBuf::from).ok_or(ServersError::NoBucket)?;
        let mut tries = 1;
        loop {
            let mut server = Self::spawn(&program)?;
            match server.make(bucket) {
                Err(ServersError::BucketEnded { log }) if log.contains("in use") && tries < TRIES => tries += 1,
                made => return made.map(|()| server),
            }
        }
    }

    fn spawn(program: &PathBuf) -> Result<Self, ServersError> {
        let folder = tempfile::tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let mut command = Command::new(program);
        command.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let spawner = Spawner::new();
        let child = spawner.spawn(command);
        let child = child.map_err(|source| ServersError::Start { program: program.clone(), source })?;
        Ok(Self { address, child, folder, _spawner: spawner })
    }

    fn make(&mut self, bucket: &str) -> Result<(), ServersError> {
        let begun = Instant::now();
        while !self.answers(&format!("PUT /{bucket}")) {
            let log = || tail(&self.folder.path().join("log"));
            if !matches!(self.child.try_wait(), Ok(None)) {
                return Err(ServersError::BucketEnded { log: log() });
            }
            if begun.elapsed() > START_DEADLINE {
                return Err(ServersError::BucketDeadline { seconds: START_DEADLINE.as_secs(), log: log() });
            }
            std::thread::sleep(PROBE_PAUSE);
        }
        Ok(())
    }

    /// Whether a request without a body is answered well.
    fn answers(&self, request: &str) -> bool {
        let ask = || {
            let mut stream = TcpStream::connect(self.address)?;
            stream.set_read_timeout(Some(ANSWER_DEADLINE))?;
            let host = "Host: s3.amazonaws.com\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            stream.write_all(format!("{request} HTTP/1.1\r\n{host}").as_bytes())?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).map(|_| answer)
        };
        ask().is_ok_and(|answer: String| answer.lines().next().is_some_and(|line| line.contains(" 200 ")))
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The variables by which S3's own tools find it.
    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("AWS_ACCESS_KEY_ID", "lethe-test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "lethe-test-secret".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ENDPOINT_URL", self.endpoint()),
        ]
    }
}

impl Drop for BucketServer {
    fn drop(&mut self) {
        drop(self.child.kill()); // it may have ended already
        drop(self.child.wait());
    }
}

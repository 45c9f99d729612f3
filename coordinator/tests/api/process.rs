//! The binary: its one line, its end, its lock, and what it keeps through a SIGKILL.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lethe_proto::v1;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::workers_client::WorkersClient;

use crate::rig::{Rig, TOKEN, Worker, bearer, connect, plan_ahead, view_where};

/// Killed when the test ends, however it ends.
struct Process {
    child: Child,
    address: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lethe-coordinator"));
    command.arg("--work").arg(folder.join("work")).arg("--result").arg(folder.join("result"));
    command.args(["--heartbeat-ms", "20000", "--parent-stdin"]).env("LETHE_TOKEN", TOKEN);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn start(folder: &Path) -> Process {
    let mut child = command(folder).spawn().expect("starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("is piped")).read_line(&mut line).expect("says where");
    let address = line.trim_end().strip_prefix("listening on ").expect("is that line").to_owned();
    Process { child, address: format!("http://{address}") }
}

#[tokio::test]
async fn a_commit_survives_sigkill() {
    let folder = tempfile::tempdir().expect("makes a folder");
    plan_ahead(&folder.path().join("work")).await;
    let mut first = start(folder.path());
    let client = WorkersClient::with_interceptor(connect(&first.address).await, bearer as _);
    let mut worker = Worker::join(client, "w1").await;
    let task = worker.map().await.task.expect("is named");
    assert_eq!(worker.commit(task).await, v1::CommitOutcome::Applied);
    first.child.kill().expect("is killed");
    first.child.wait().expect("is gone");

    let second = start(folder.path());
    let mut audits = AuditsClient::with_interceptor(connect(&second.address).await, bearer as _);
    view_where(&mut audits, |view| view.phases[1].done == 1).await;
}

#[test]
fn it_ends_when_its_parent_closes_stdin_and_on_sigterm() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let mut orphan = start(folder.path());
    drop(orphan.child.stdin.take());
    assert!(orphan.child.wait().expect("ends").success());

    let mut stopped = start(folder.path());
    let id = stopped.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("runs").success());
    let status = stopped.child.wait().expect("ends");
    assert!(status.success(), "{status}");
}

#[tokio::test]
async fn a_second_one_on_the_folder_says_what_to_do() {
    let rig = Rig::calm().await;
    rig.audits().await.get_audit(v1::GetAuditRequest { audit: "drill".to_owned() }).await.expect("it serves");
    let folder = rig.work();
    let message = failure(command(folder.parent().expect("has one")));
    assert!(message.contains("another coordinator already works in"), "{message}");
}

#[test]
fn it_refuses_what_it_cannot_guard() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let mut open = command(folder.path());
    open.args(["--listen", "0.0.0.0:0"]);
    let message = failure(open);
    assert!(message.contains("0.0.0.0:0 is not a loopback address"), "{message}");

    let mut bare = command(folder.path());
    bare.env_remove("LETHE_TOKEN");
    let message = failure(bare);
    assert!(message.contains("LETHE_TOKEN is not set"), "{message}");
}

/// What a process that must not start says on stderr.
fn failure(mut command: Command) -> String {
    let mut child = command.stderr(Stdio::piped()).spawn().expect("starts");
    let mut message = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut message).expect("is text");
    assert!(!child.wait().expect("ends").success(), "it started: {message}");
    message
}

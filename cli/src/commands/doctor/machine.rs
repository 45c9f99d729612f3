//! This machine: programs, libtorch, devices, memory that processes share, disk.
//!
//! It must never load libtorch itself: what crashes there must be told, not shared.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::statvfs::statvfs;
use serde::Deserialize;

use super::Finding;
use crate::cluster::sibling;
use crate::show;

/// NCCL and Gloo of a node's ranks meet there; containers have 64 MiB unless told otherwise.
const SHM: &str = "/dev/shm";
const LEAST_SHM: u64 = 1 << 30;
/// A small audit's blobs and a checkpoint or two.
const LEAST_DISK: u64 = 2 << 30;

pub(super) fn look(work: &Path) -> Vec<Finding> {
    let [coordinator, worker] = ["lethe-coordinator", "lethe-worker"].map(program);
    let device = device();
    vec![coordinator, worker, device, shared_memory(), disk(work)]
}

fn program(name: &str) -> Finding {
    match sibling(name) {
        Ok(_) => Finding::ok(name, "lies beside this program"),
        Err(error) => Finding::fail(name, error.to_string(), "`lethe audit` starts it from there"),
    }
}

/// As a worker says it.
#[derive(Deserialize)]
enum Found {
    Gpus(Vec<String>),
    Missing(String),
}

fn device() -> Finding {
    const WHAT: &str = "libtorch";
    let worker = match sibling("lethe-worker") {
        Ok(worker) => worker,
        Err(error) => return Finding::fail(WHAT, error.to_string(), "build the worker first"),
    };
    let listed = Command::new(worker).arg("--list-devices").stdin(Stdio::null()).output();
    let advice = "`make build` fetches libtorch, or set LIBTORCH to one";
    let output = match listed {
        Ok(output) if output.status.success() => output.stdout,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Finding::fail(WHAT, format!("it does not load ({}): {said}", output.status), advice);
        }
        Err(error) => return Finding::fail(WHAT, error.to_string(), advice),
    };
    match serde_json::from_slice(&output) {
        Ok(Found::Gpus(gpus)) => Finding::ok(WHAT, format!("loads; GPUs: {}", gpus.join(", "))),
        Ok(Found::Missing(why)) => Finding::ok(WHAT, format!("loads, on the CPU alone ({why})")),
        Err(error) => Finding::fail(WHAT, format!("the worker's answer is none: {error}"), "is it of another build?"),
    }
}

fn shared_memory() -> Finding {
    match free(Path::new(SHM)) {
        Ok(free) if free >= LEAST_SHM => Finding::ok(SHM, format!("{} free", size(free))),
        Ok(free) => Finding::warn(
            SHM,
            format!("{} free", size(free)),
            "trainings on GPUs of one node want 1 GiB: a container needs a memory volume there, or --shm-size",
        ),
        Err(error) => Finding::warn(SHM, error, "mount a tmpfs there"),
    }
}

fn disk(work: &Path) -> Finding {
    let what = format!("disk at {}", work.display());
    match free(work) {
        Ok(free) if free >= LEAST_DISK => Finding::ok(what, format!("{} free", size(free))),
        Ok(free) => {
            Finding::fail(what, format!("{} free", size(free)), "an audit keeps its blobs there: give it 2 GiB or more")
        }
        Err(error) => Finding::fail(what, error, "make the folder, or name another with --work"),
    }
}

fn free(path: &Path) -> Result<u64, String> {
    let found = statvfs(path).map_err(|errno| errno.desc().to_owned())?;
    Ok(found.blocks_available() * found.fragment_size())
}

fn size(bytes: u64) -> String {
    show::size(bytes).unwrap_or_else(|| "nothing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn what_is_free_is_told_and_what_is_not_there_fails() {
        let folder = tempfile::tempdir().expect("makes a folder");
        assert!(disk(folder.path()).found.ends_with(" free"));
        let gone = disk(&folder.path().join("nowhere"));
        assert_eq!((gone.verdict, gone.found.as_str()), (Verdict::Fail, "No such file or directory"));
    }
}

//! The disk of the blobs runs full, and is freed later.
//!
//! Its disk must never outlive the test: only the test's thread and its children see it, and it goes with them.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::cluster::{Cluster, Shape};
use crate::stage::{is_root, is_running, scenario, skip};

const NAME: &str = "blob disk full in mid-score, freed later";
const DISK_BYTES: u64 = 256 << 20;
/// More than one shard's tries, were they counted.
const FAILED_TRIES: u64 = 8;

#[test]
fn blob_disk_full() {
    if !is_root() {
        return skip(NAME, "only root can mount a disk of limited size");
    }
    let shape = Shape { disk_bytes: Some(DISK_BYTES), ..Shape::usual() };
    scenario(NAME, shape, |cluster, undisturbed| {
        cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        let ballast = cluster.work().join("ballast");
        fill(&ballast);
        // Where scoring ended meanwhile, it is the leader's turn to write.
        let is_full = |log: String| log.contains("No space left on device");
        let told =
            |c: &Cluster| c.workers().iter().any(|part| is_full(part.log())) || c.coordinator_logs().any(is_full);
        cluster.wait("somebody who cannot write", told);
        // Whichever phase it meets: the disk is full at a moment that the test does not choose.
        cluster.wait("more failed tries than a shard has", |c| c.retries() >= FAILED_TRIES);
        std::fs::remove_file(&ballast).expect("frees the disk");
        let results = cluster.finish();
        results.assert_equal(undisturbed, "the disk of the blobs full for a while");
    });
}

/// Writes until nothing fits any more.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).expect("creates the ballast");
    let mut piece = vec![0_u8; 1 << 20];
    while !piece.is_empty() {
        if file.write_all(&piece).is_err() {
            piece.truncate(piece.len() / 2);
        }
    }
}

/// A file system in memory, of limited size.
pub struct Disk {
    folder: PathBuf,
}

impl Disk {
    /// Mounts one on a folder, which is made; needs root.
    pub fn mount(folder: &Path, bytes: u64) -> Self {
        std::fs::create_dir_all(folder).expect("makes a folder");
        // SAFETY: it changes what this thread and its children see of the file systems, and touches no memory.
        let unshared = unsafe { libc::unshare(libc::CLONE_NEWNS) };
        assert_eq!(unshared, 0, "no mount namespace: {}", std::io::Error::last_os_error());
        run(Command::new("mount").args(["--make-rprivate", "/"]));
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "chaos"]).arg(folder));
        Self { folder: folder.to_owned() }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The folder around it could not be removed otherwise. It fails where the mount did, which was told.
        Command::new("umount").arg("--lazy").arg(&self.folder).status().ok();
    }
}

/// Runs a command and wants it to succeed.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

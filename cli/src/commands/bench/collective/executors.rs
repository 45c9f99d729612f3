//! The executors of the workers that this process started, found in /proc as children of its children.
//!
//! It must never signal a process that is not one of those.

use std::collections::BTreeMap;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Children of each process.
fn children() -> anyhow::Result<BTreeMap<i32, Vec<i32>>> {
    let mut found: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").context("cannot list /proc")?.filter_map(Result::ok) {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A process may end while it is looked at.
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(parent) = parent(&stat) {
            found.entry(parent).or_default().push(pid);
        }
    }
    Ok(found)
}

/// The name may hold spaces and brackets; the fields after its last bracket do not.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Grandchildren of this process: a worker's only child is its executor, and the coordinator has none.
pub fn executors() -> anyhow::Result<Vec<i32>> {
    let children = children()?;
    let of = |pid: i32| children.get(&pid).cloned().unwrap_or_default();
    let mut found: Vec<i32> = of(std::process::id() as i32).into_iter().flat_map(of).collect();
    found.sort_unstable();
    Ok(found)
}

/// SIGKILL.
pub fn end(executor: i32) -> anyhow::Result<()> {
    kill(Pid::from_raw(executor), Signal::SIGKILL).with_context(|| format!("cannot kill executor {executor}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parent_is_found_behind_any_name() {
        assert_eq!(parent("12 (a) b (c) S 7 12 12 0 -1"), Some(7));
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("starts");
        let own = children().expect("lists")[&(std::process::id() as i32)].clone();
        assert!(own.contains(&(child.id() as i32)));
        child.kill().and_then(|()| child.wait()).expect("ends");
    }
}

//! What Linux tells of a process: CPU time and peak memory.
//!
//! It must never guess: a process that is gone is an error.

use anyhow::Context;

/// USER_HZ, which Linux never changes for /proc, whatever the kernel's own clock.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time since its start, of all its threads, in seconds.
pub fn cpu_seconds(pid: u32) -> anyhow::Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    ticks(&text).map(|ticks| ticks as f64 / TICKS_PER_SECOND).with_context(|| format!("{path} says {text:?}"))
}

/// The name may hold spaces and brackets; the fields after its last bracket do not.
fn ticks(stat: &str) -> Option<u64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
}

/// wchar: bytes that it gave to write calls since its start, to sockets and to files.
pub fn written_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/io");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    written(&text).with_context(|| format!("{path} tells no wchar"))
}

fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("wchar:"))?.trim().parse().ok()
}

/// VmHWM: the most memory it had resident, in bytes.
pub fn peak_bytes(pid: u32) -> anyhow::Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    high_water(&text).with_context(|| format!("{path} tells no VmHWM"))
}

fn high_water(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_any_name() {
        let stat = "12 (a) b (c) S 1 12 12 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 5 0 100 1 1";
        assert_eq!(ticks(stat), Some(200));
        assert_eq!(high_water("Name:\tx\nVmHWM:\t    2048 kB\n"), Some(2 << 20));
        assert_eq!(written("rchar: 7\nwchar: 12\nsyscr: 1\n"), Some(12));
        assert!(cpu_seconds(std::process::id()).is_ok() && peak_bytes(std::process::id()).is_ok_and(|b| b > 1 << 20));
    }
}

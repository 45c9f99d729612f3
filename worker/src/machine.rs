//! What this machine is, for the list of workers.
//!
//! It must never decide anything: a figure that cannot be read is 0 or empty.

use std::path::Path;

/// For people; nothing depends on it.
pub fn hostname() -> String {
    let name = std::fs::read_to_string(Path::new("/proc/sys/kernel/hostname")).unwrap_or_default();
    name.trim().to_owned()
}

/// The memory that this process may use, in bytes: the machine's, or less where its control group has less.
pub fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_bytes(&text)).unwrap_or(0);
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limit = limits.iter().find_map(|path| std::fs::read_to_string(path).ok()?.trim().parse().ok());
    limit.unwrap_or(machine).min(machine)
}

/// Another text for each process, from the kernel's random source.
pub fn instance() -> String {
    std::fs::read_to_string(Path::new("/proc/sys/kernel/random/uuid")).unwrap_or_default().trim().to_owned()
}

fn total_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1 << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_account_is_read() {
        assert_eq!(total_bytes("MemFree: 1 kB\nMemTotal:       16384000 kB\n"), Some(16_777_216_000));
        assert_eq!(total_bytes("MemTotal: lots"), None);
        assert!(memory_bytes() > 0, "this machine has some");
    }
}

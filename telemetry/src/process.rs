//! The process itself, under the names that all of Prometheus's client libraries have for it, read from /proc at each scrape.

use std::fmt::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Registered with a registry that has no prefix.
#[derive(Debug)]
pub struct Process {
    started_s: f64,
}

impl Default for Process {
    fn default() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started_s: now.as_secs_f64() }
    }
}

impl Collector for Process {
    fn encode(&self, mut to: DescriptorEncoder) -> Result<(), Error> {
        gauge(&mut to, ("process_start_time_seconds", "When the process started, since the epoch."), self.started_s)?;
        if let Some(seconds) = cpu_seconds() {
            let counter = ConstCounter::new(seconds);
            let help = "CPU time of all its threads, in the kernel and outside.";
            counter.encode(to.encode_descriptor("process_cpu_seconds", help, None, counter.metric_type())?)?;
        }
        if let Some(bytes) = resident_bytes() {
            gauge(&mut to, ("process_resident_memory_bytes", "Memory that it has in RAM."), bytes)?;
        }
        match std::fs::read_dir("/proc/self/fd") {
            Ok(open) => gauge(&mut to, ("process_open_fds", "Open file descriptors."), open.count() as f64),
            Err(_) => Ok(()), // a system without /proc has these no more than the others
        }
    }
}

fn gauge(to: &mut DescriptorEncoder<'_>, (name, help): (&str, &str), value: f64) -> Result<(), Error> {
    let gauge = ConstGauge::new(value);
    gauge.encode(to.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// Linux counts in hundredths for whoever asks, whatever its own clock.
const TICKS_A_SECOND: f64 = 100.0;

fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold anything; what follows the last bracket is plain.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS_A_SECOND)
}

fn resident_bytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? * 1024.0)
}

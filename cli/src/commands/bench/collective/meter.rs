//! What the executors of this process spend, read again and again while they run.
//!
//! It must never be asked for a moment that it did not see.

use std::time::Duration;

use anyhow::Context;
use lethe_common::time::Millis;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::super::proc::{cpu_seconds, peak_bytes, written_bytes};
use super::executors::executors;

/// Each look reads all of /proc, at the cost of what is measured.
const EVERY: Duration = Duration::from_millis(250);

/// All executors together since they began.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    pub at_ms: u64,
    pub executors: usize,
    pub cpu_s: f64,
    pub written_bytes: f64,
    /// Of the one that had most.
    pub peak_bytes: u64,
}

impl Reading {
    fn take() -> anyhow::Result<Self> {
        let mut reading = Self { at_ms: Millis::now().0, ..Self::default() };
        for pid in executors()? {
            let pid = pid as u32;
            // One may end between two looks; a reading without it counts fewer executors and is left out.
            let (Ok(cpu_s), Ok(written), Ok(peak)) = (cpu_seconds(pid), written_bytes(pid), peak_bytes(pid)) else {
                continue;
            };
            reading.executors += 1;
            reading.cpu_s += cpu_s;
            reading.written_bytes += written as f64;
            reading.peak_bytes = reading.peak_bytes.max(peak);
        }
        Ok(reading)
    }

    /// What was spent between two moments, by the readings that are nearest to them.
    pub fn between(readings: &[Self], from: u64, to: u64) -> Option<Self> {
        let most = readings.iter().map(|reading| reading.executors).max()?;
        let near = |at: u64| {
            readings.iter().filter(|reading| reading.executors == most).min_by_key(|reading| reading.at_ms.abs_diff(at))
        };
        let (before, after) = (near(from)?, near(to)?);
        // Readings are not taken at the very moments.
        let share = (to - from) as f64 / after.at_ms.checked_sub(before.at_ms).filter(|took| *took > 0)? as f64;
        Some(Self {
            at_ms: to,
            executors: most,
            cpu_s: (after.cpu_s - before.cpu_s) * share,
            written_bytes: (after.written_bytes - before.written_bytes) * share,
            peak_bytes: after.peak_bytes,
        })
    }
}

pub struct Meter {
    stop: tokio::sync::oneshot::Sender<()>,
    readings: JoinHandle<anyhow::Result<Vec<Reading>>>,
}

impl Meter {
    pub fn start() -> Self {
        let (stop, mut stopped) = tokio::sync::oneshot::channel();
        let readings = tokio::spawn(async move {
            let mut ticks = interval(EVERY);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut readings = Vec::new();
            loop {
                tokio::select! {
                    _ = ticks.tick() => readings.push(Reading::take()?),
                    _ = &mut stopped => return Ok(readings),
                }
            }
        });
        Self { stop, readings }
    }

    pub async fn stop(self) -> anyhow::Result<Vec<Reading>> {
        drop(self.stop);
        self.readings.await.context("the meter panicked")?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_with_fewer_executors_are_left_out_and_the_rest_is_scaled() {
        let reading =
            |at_ms: u64, executors: usize, cpu_s: f64| Reading { at_ms, executors, cpu_s, ..Reading::default() };
        let readings = [reading(0, 2, 0.0), reading(100, 1, 0.5), reading(210, 2, 2.0), reading(400, 2, 4.0)];
        let spent = Reading::between(&readings, 150, 400).expect("was read");
        assert!((spent.cpu_s - 2.0 * 250.0 / 190.0).abs() < 1e-9, "{spent:?}");
    }
}

//! The coordinators' wall clock is set, forth and back, while they lead and between two reigns.
//!
//! It must never touch the machine's clock: libfaketime shows another one to the coordinators alone, and leaves them
//! the monotonic one, which no setting of a clock moves.

use std::path::Path;

use crate::cluster::Shape;
use crate::stage::{is_running, scenario, skip};

const NAME: &str = "clock of the coordinators jumps 1 h ahead, then 2 h back at a takeover";

#[test]
#[ignore = "long: make chaos"]
fn clock_jumps() {
    let Some(library) = std::env::var_os("FAKETIME_LIBRARY") else {
        return skip(NAME, "FAKETIME_LIBRARY is not set; scripts/faketime.sh prints it");
    };
    let file = tempfile::NamedTempFile::new().expect("makes a file");
    set(file.path(), "+0");
    let variables = [
        ("LD_PRELOAD", library.to_string_lossy().into_owned()),
        ("FAKETIME_TIMESTAMP_FILE", file.path().display().to_string()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value)).to_vec();
    scenario(NAME, Shape { variables, ..Shape::usual() }, |mut cluster, undisturbed| {
        let leader = cluster.leader();
        let before = cluster.wait_for("score", "under way", |score| is_running(score) && score.done >= 2);
        set(file.path(), "+3600");
        let after = cluster.wait_for("score", "going on", |score| score.done > before.done);
        assert_eq!(after.retries, 0, "a jump of the clock cost a task");
        set(file.path(), "-3600");
        cluster.coordinator(leader.0).kill();
        cluster.wait_for_takeover(leader);
        let results = cluster.finish();
        let jump = longest_jump_back(&cluster.log_of(1 - leader.0));
        assert!(jump >= 3_000, "the heir's clock jumped back by {jump} s only; is that libfaketime?");
        results.assert_equal(undisturbed, "a clock that jumped");
    });
}

/// What libfaketime adds to the time.
fn set(file: &Path, offset: &str) {
    std::fs::write(file, offset).expect("sets the clock");
}

/// The longest step back between two lines of a log, in seconds, midnight apart.
fn longest_jump_back(log: &str) -> i64 {
    let times: Vec<i64> = log.lines().filter_map(seconds).collect();
    times.windows(2).map(|pair| (pair[0] - pair[1]).rem_euclid(DAY_S)).filter(|s| *s < DAY_S / 2).max().unwrap_or(0)
}

const DAY_S: i64 = 24 * 60 * 60;

/// The time of day that a line begins with, such as `2026-01-31T23:59:59.123456Z`.
fn seconds(line: &str) -> Option<i64> {
    let (_, time) = line.split_once('T')?;
    let mut parts = time.get(..8)?.split(':').map(|part| part.parse::<i64>().ok());
    Some((parts.next()?? * 60 + parts.next()??) * 60 + parts.next()??)
}

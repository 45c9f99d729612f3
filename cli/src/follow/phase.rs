//! What a phase's view says in figures: how far, how fast, how long.
//!
//! Pure: the time is an argument, and a figure that cannot be known yet is absent rather than guessed.

use std::time::Duration;

use lethe_common::time::Millis;
use lethe_proto::v1::{PhaseKind, PhaseView, RunState};

/// The share that is done, 0 to 1. Tasks in flight count by their own progress, evenly over the workers.
pub fn share(phase: &PhaseView, workers: u32) -> f64 {
    if phase.state() == RunState::Succeeded {
        return 1.0;
    }
    if phase.total == 0 {
        return 0.0;
    }
    let left = phase.total.saturating_sub(phase.done);
    let in_flight = match phase.kind() {
        PhaseKind::Map => u64::from(workers).min(left),
        PhaseKind::Reduce | PhaseKind::Gang | PhaseKind::Unspecified => left.min(1),
    };
    let within = if phase.in_flight_total == 0 {
        0.0
    } else {
        (phase.in_flight_done as f64 / phase.in_flight_total as f64).min(1.0)
    };
    ((phase.done as f64 + within * in_flight as f64) / phase.total as f64).min(1.0)
}

/// From its start to its end, or to now.
pub fn elapsed(phase: &PhaseView, now: Millis) -> Option<Duration> {
    if phase.started_ms == 0 {
        return None;
    }
    let until = if phase.ended_ms == 0 { now } else { Millis(phase.ended_ms) };
    Some(Duration::from_millis(until.since_ms(Millis(phase.started_ms))))
}

/// What is left at the pace so far; absent before there is a pace.
pub fn remaining(phase: &PhaseView, workers: u32, now: Millis) -> Option<Duration> {
    let share = share(phase, workers);
    let elapsed = elapsed(phase, now)?;
    (share > 0.0 && phase.ended_ms == 0).then(|| elapsed.mul_f64((1.0 - share) / share))
}

/// The pace in words: samples of committed shards, else steps of a training. Absent for what is over at once.
pub fn rate(phase: &PhaseView, now: Millis) -> Option<String> {
    let seconds = elapsed(phase, now)?.as_secs_f64();
    let (count, unit) = match phase.kind() {
        PhaseKind::Map => (phase.counts.map_or(0, |c| c.read), "samples/s"),
        PhaseKind::Gang => (phase.done.max(phase.in_flight_done), "steps/s"),
        PhaseKind::Reduce | PhaseKind::Unspecified => return None,
    };
    (seconds > 0.0 && count > 0).then(|| {
        let pace = count as f64 / seconds;
        if pace < 10.0 { format!("{pace:.1} {unit}") } else { format!("{pace:.0} {unit}") }
    })
}

/// A duration as a person says it: `850 ms`, `12.3 s`, `4 min 10 s`, `3 h 05 min`.
pub fn spoken(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => format!("{} ms", duration.as_millis()),
        1..60 => format!("{:.1} s", duration.as_secs_f64()),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600.. => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use lethe_proto::v1::Counts;

    use super::*;

    fn score() -> PhaseView {
        PhaseView {
            kind: PhaseKind::Map.into(),
            state: RunState::Running.into(),
            done: 4,
            total: 20,
            in_flight_done: 500,
            in_flight_total: 2_000,
            started_ms: 1_000,
            counts: Some(Counts { read: 4_000, scored: 3_990, failed: 10 }),
            ..PhaseView::default()
        }
    }

    #[test]
    fn tasks_in_flight_move_the_bar() {
        assert_eq!(share(&score(), 2), 4.5 / 20.0);
        assert_eq!(share(&PhaseView { in_flight_total: 0, ..score() }, 2), 0.2);
        assert_eq!(share(&PhaseView { done: 19, ..score() }, 2), 19.25 / 20.0);
        assert_eq!(share(&PhaseView { total: 0, done: 0, ..score() }, 2), 0.0);
        assert_eq!(share(&PhaseView { state: RunState::Succeeded.into(), ..score() }, 2), 1.0);
    }

    #[test]
    fn pace_and_rest_follow_from_the_start() {
        let now = Millis(10_000);
        assert_eq!(rate(&score(), now), Some("444 samples/s".to_owned()));
        assert_eq!(remaining(&score(), 2, now), Some(Duration::from_secs(31)));
        assert_eq!(remaining(&PhaseView { started_ms: 0, ..score() }, 2, now), None);
        let ended = PhaseView { ended_ms: 3_000, ..score() };
        assert_eq!((elapsed(&ended, now), remaining(&ended, 2, now)), (Some(Duration::from_secs(2)), None));
    }

    #[test]
    fn durations_are_readable() {
        let spoken_ms = |ms| spoken(Duration::from_millis(ms));
        assert_eq!(spoken_ms(850), "850 ms");
        assert_eq!(spoken_ms(12_340), "12.3 s");
        assert_eq!(spoken_ms(250_000), "4 min 10 s");
        assert_eq!(spoken_ms(11_100_000), "3 h 05 min");
    }
}

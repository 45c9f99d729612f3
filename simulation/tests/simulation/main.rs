//! A world of workers, a store and a network that fail in every way we know, around the real engine.
//!
//! It must never be random but for its seed: a failing seed fails again. Each seed has a safety part
//! (faults happen, invariants hold after every step) and a liveness part (faults stop, every audit
//! ends as if there had been none).
//!
//! `LETHE_SIM_SEED=7` replays one seed, and `LETHE_SIM_ALOUD=1` with it tells every event and command;
//! `LETHE_SIM_SEEDS=10000` runs that many, however long it takes. `LETHE_SIM_WORKERS=1024` gives each world so many workers
//! instead of one to five, up to as many shards an audit, and the first audit a gang of all of them.

mod agents;
mod clients;
mod driver;
mod faults;
mod invariants;
mod jobs;
mod reducers;
mod store;
mod workers;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use faults::FaultKind;
use world::World;

/// What runs where nobody says how many: so many, or as many as fit the time.
const DEFAULT_SEEDS: u64 = 1_000;
const DEFAULT_TIME: Duration = Duration::from_secs(20);

/// Enough for every fault to have fired, however slow the machine.
const LEAST_SEEDS: u64 = 250;

/// Says on the way out of a panic, wherever it began, how to see it again.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let seed = self.0;
            eprintln!("seed {seed} failed; replay: LETHE_SIM_SEED={seed} cargo nextest run -p lethe-simulation");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} is {text:?}; expected a number")))
}

fn run(seed: u64) -> Fired {
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    world.run_with_faults();
    world.run_without_faults();
    world.fired()
}

type Fired = BTreeMap<FaultKind, u64>;

/// On every core, until all have run or the time is over; how many did, and what each fault did in them.
fn run_all(seeds: u64, time: Duration) -> (u64, Fired) {
    let (next, began) = (AtomicU64::new(0), Instant::now());
    let mine = || {
        let mut fired = Fired::new();
        let is_over = |seed| seed >= seeds || (seed >= LEAST_SEEDS && began.elapsed() >= time);
        let mut ran = 0;
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if is_over(seed) {
                return (ran, fired);
            }
            run(seed).into_iter().for_each(|(kind, times)| *fired.entry(kind).or_default() += times);
            ran += 1;
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mut ran, mut fired) = (0, Fired::new());
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(mine)).collect();
        for thread in threads {
            let (of_it, counted) = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            ran += of_it;
            counted.into_iter().for_each(|(kind, times)| *fired.entry(kind).or_default() += times);
        }
    });
    (ran, fired)
}

#[test]
fn every_seed_keeps_every_invariant() {
    if let Some(seed) = number("LETHE_SIM_SEED") {
        println!("faults: {:?}", run(seed));
        return;
    }
    let (seeds, fired) = match number("LETHE_SIM_SEEDS") {
        Some(seeds) => run_all(seeds, Duration::MAX),
        None => run_all(DEFAULT_SEEDS, DEFAULT_TIME),
    };
    println!("{seeds} seeds, faults: {fired:?}");
    for kind in FaultKind::ALL {
        assert!(fired.contains_key(kind), "no seed of {seeds} had a {kind:?}: the faults are not what they were");
    }
}

#[test]
fn a_seed_is_the_same_story_twice() {
    let story = |seed| {
        let mut world = World::new(seed).told();
        world.run_with_faults();
        world.run_without_faults();
        world.story()
    };
    let told = story(3);
    assert!(told.len() > 1000, "only {} events: not much of a story", told.len());
    assert!(told == story(3), "the same seed told another story");
}

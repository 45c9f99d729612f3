//! A world of workers, a store and a network that fail in every way we know, around the real engine.
//!
//! It must never be random but for its seed: a failing seed fails again. Each seed has a safety part
//! (faults happen, invariants hold after every step) and a liveness part (faults stop, every audit
//! ends as if there had been none).
//!
//! `LETHE_SIM_SEED=7` replays one seed, and `LETHE_SIM_ALOUD=1` with it tells every event and command;
//! `LETHE_SIM_SEEDS=10000` runs that many.

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

use faults::FaultKind;
use world::World;

const DEFAULT_SEEDS: u64 = 1_000;

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

fn run(seed: u64) -> BTreeMap<FaultKind, u64> {
    let _replay = Replay(seed);
    let mut world = World::new(seed);
    world.run_with_faults();
    world.run_without_faults();
    world.fired()
}

/// On every core; what each fault did, summed over all seeds.
fn run_all(seeds: u64) -> BTreeMap<FaultKind, u64> {
    let next = AtomicU64::new(0);
    let share = || {
        let mut fired: BTreeMap<FaultKind, u64> = BTreeMap::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                return fired;
            }
            run(seed).into_iter().for_each(|(kind, times)| *fired.entry(kind).or_default() += times);
        }
    };
    let mut fired: BTreeMap<FaultKind, u64> = BTreeMap::new();
    std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(share)).collect();
        for thread in threads {
            let counted = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            counted.into_iter().for_each(|(kind, times)| *fired.entry(kind).or_default() += times);
        }
    });
    fired
}

#[test]
fn every_seed_keeps_every_invariant() {
    if let Some(seed) = number("LETHE_SIM_SEED") {
        println!("faults: {:?}", run(seed));
        return;
    }
    let seeds = number("LETHE_SIM_SEEDS").unwrap_or(DEFAULT_SEEDS);
    let fired = run_all(seeds);
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

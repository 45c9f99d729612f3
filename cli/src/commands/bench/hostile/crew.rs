//! Those who attack: tasks of their own, so many at once, at a rate that leaves the machine to the coordinator.
//!
//! They must never go on after their window.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::attack::{Answer, Attack, Foe};

/// One request that is not answered by then is given up.
const REQUEST_DEADLINE: Duration = Duration::from_secs(5);

/// What came back, and how often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    pub fn requests(&self) -> u64 {
        self.0.values().sum()
    }

    pub fn plus(&self, other: &Self) -> Self {
        let mut sum = self.clone();
        for (answer, count) in &other.0 {
            *sum.0.entry(answer.clone()).or_default() += count;
        }
        sum
    }

    fn add(&mut self, answers: impl IntoIterator<Item = Answer>) {
        for answer in answers {
            *self.0.entry(answer.told()).or_default() += 1;
        }
    }
}

/// How much of one kind in one window.
#[derive(Debug, Clone, Copy)]
pub struct Quota {
    pub requests: u64,
    pub within: Duration,
}

pub struct Crew {
    pub runtime: Handle,
    /// Of each kind.
    pub tasks: u32,
}

/// Attacks that are under way.
pub struct Attacking {
    tasks: JoinSet<()>,
    left: Arc<AtomicU64>,
    tally: Arc<Mutex<Tally>>,
    ends: Instant,
}

impl Crew {
    pub fn begin(&self, foe: &Foe, kinds: Vec<(Attack, Quota)>) -> Attacking {
        let running = kinds.len() as u64 * u64::from(self.tasks);
        let (left, tally) = (Arc::new(AtomicU64::new(running)), Arc::new(Mutex::new(Tally::default())));
        let within = kinds.iter().map(|(_, quota)| quota.within).max().unwrap_or_default();
        let ends = Instant::now() + within;
        let mut tasks = JoinSet::new();
        for (attack, quota) in kinds {
            for task in 0..self.tasks {
                let attacker = Attacker {
                    attack,
                    requests: quota.requests.div_ceil(u64::from(self.tasks)),
                    window: quota.within,
                    draws: ChaCha8Rng::seed_from_u64(u64::from(task)),
                };
                let (foe, left, tally) = (foe.clone(), Arc::clone(&left), Arc::clone(&tally));
                let work = async move {
                    attacker.work(&foe, ends, &tally).await;
                    left.fetch_sub(1, Ordering::Relaxed);
                };
                tasks.spawn_on(work, &self.runtime);
            }
        }
        Attacking { tasks, left, tally, ends }
    }
}

impl Attacking {
    /// Every quota is used up. The end of the window is the caller's to see.
    pub fn is_over(&self) -> bool {
        self.left.load(Ordering::Relaxed) == 0
    }

    pub async fn end(mut self) -> Tally {
        let drained = async { while self.tasks.join_next().await.is_some() {} };
        let grace = self.ends.saturating_duration_since(Instant::now()) + REQUEST_DEADLINE;
        if self.left.load(Ordering::Relaxed) > 0 {
            drop(timeout(grace, drained).await); // what is left is counted as far as it came
        }
        self.tally.lock().expect("no attacker panics with it").clone()
    }
}

struct Attacker {
    attack: Attack,
    requests: u64,
    window: Duration,
    draws: ChaCha8Rng,
}

impl Attacker {
    /// Spreads its requests over the window: an attack as fast as it goes would measure the machine.
    async fn work(mut self, foe: &Foe, ends: Instant, tally: &Mutex<Tally>) {
        let (begun, mut sent) = (Instant::now(), 0);
        while sent < self.requests && Instant::now() < ends {
            let due = self.window.mul_f64(sent as f64 / self.requests as f64);
            sleep_until((begun + due).min(ends)).await;
            let burst = self.attack.burst(self.requests - sent);
            let seed: u64 = self.draws.random();
            let answers = match timeout(REQUEST_DEADLINE, self.attack.burst_of(foe, burst, seed)).await {
                Ok(answers) => answers,
                Err(_) => vec![Answer::Nothing; burst as usize],
            };
            sent += answers.len() as u64;
            tally.lock().expect("no attacker panics with it").add(answers);
        }
    }
}

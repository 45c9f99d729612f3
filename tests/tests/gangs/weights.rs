//! The weights after the last step: of one rank and of many, and of many among whom one was lost, replaced, stopped, or
//! gone for good.

use std::time::{Duration, Instant};

use lethe_proto::v1::PhaseView;
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::cluster::Cluster;
use crate::recipe::{Recipe, STEPS};
use crate::run::Run;
use crate::trained::Trained;

/// Of weights about 1. Ranks of another number sum in another order; only that differs.
const TOLERANCE: f64 = 1e-8;

const RANKS: usize = 4;

/// Long enough that a busy machine is not taken for a lost worker. The loss of an executor is told at once.
const STEADY_HEARTBEAT_MS: u64 = 5_000;

/// Where a deadline has to pass.
const QUICK_HEARTBEAT_MS: u64 = 1_000;
/// On a busy machine a worker may be taken for lost before the deadline passes, and the stop proves nothing of it.
const STOPS: usize = 3;
/// A gang's collective calls wait for so many heartbeats; as `lethe cluster` shows it.
const DEADLINE_HEARTBEATS: u64 = 60;

/// In which step which rank is killed. Rank 0 is the one whose weights are published.
const KILLS: [(usize, u32); 3] = [(3, 3), (50, 0), (199, 1)];

/// One test for all, since they are compared with the same undisturbed trainings and run one after the other.
#[test]
fn any_number_of_ranks_and_any_fault_of_one_gives_the_same_weights() {
    let recipe = Recipe::write();
    let undisturbed = in_steady_cluster(&recipe);
    in_quick_cluster(&recipe, &undisturbed);
}

fn in_steady_cluster(recipe: &Recipe) -> Trained {
    let mut cluster = Cluster::start(RANKS, STEADY_HEARTBEAT_MS);
    let one = undisturbed(&mut cluster, recipe, 1);
    has_learned(&one);
    let two = undisturbed(&mut cluster, recipe, 2);
    let four = undisturbed(&mut cluster, recipe, RANKS);
    assert_near(&two, &one, "2 ranks, of 1");
    assert_near(&four, &one, "4 ranks, of 1");
    for (step, rank) in KILLS {
        let found = killed(&mut cluster, recipe, (step, rank));
        assert_same(&found, &four, &format!("rank {rank} killed in step {step}"));
    }
    let sharded = killed_with_parts(&mut cluster, recipe, (50, 2));
    assert_near(&sharded, &four, "rank 2 killed with its part of the optimiser");
    refuses_a_batch_below_its_ranks(&mut cluster, recipe);
    four
}

fn in_quick_cluster(recipe: &Recipe, undisturbed: &Trained) {
    let mut cluster = Cluster::start(RANKS, QUICK_HEARTBEAT_MS);
    let timed_out = (1..=STOPS).any(|stop| {
        let (found, timed_out) = stopped(&mut cluster, &recipe.spec(&format!("stopped-{stop}"), RANKS), (50, 2));
        assert_same(&found, undisturbed, "rank 2 stopped in step 50");
        timed_out
    });
    assert!(timed_out, "of {STOPS} stops none was noticed by the collective calls' deadline");
    let fewer = shrunken(&mut cluster, recipe, (100, 1));
    assert_near(&fewer, undisturbed, "3 ranks from step 100 on, of 4");
}

fn undisturbed(cluster: &mut Cluster, recipe: &Recipe, ranks: usize) -> Trained {
    timed(&format!("{ranks} ranks, undisturbed"), || {
        let trained = Run::submit(cluster, &recipe.spec(&format!("undisturbed-{ranks}"), ranks)).finish();
        assert!(trained.lost_in().is_empty(), "it was disturbed in {:?}", trained.lost_in());
        assert_eq!((trained.report.steps as usize, trained.report.world_size as usize), (STEPS, ranks));
        trained
    })
}

/// Equal weights would prove nothing if they were those that the training began with.
fn has_learned(trained: &Trained) {
    let losses = &trained.report.losses;
    assert!(losses.iter().all(|loss| loss.is_finite()), "{losses:?}");
    let mean = |losses: &[f32]| losses.iter().sum::<f32>() / losses.len() as f32;
    let (first, last) = (mean(&losses[..10]), mean(&losses[STEPS - 10..]));
    println!("the loss of ten steps: {first} at first, {last} at last");
    assert!(last < 0.9 * first, "{first} at first, {last} at last");
}

fn killed(cluster: &mut Cluster, recipe: &Recipe, at: (usize, u32)) -> Trained {
    killed_in(cluster, &recipe.spec(&format!("killed-{}", at.0), RANKS), at)
}

/// The rank's part of the optimiser's state is with its neighbour.
fn killed_with_parts(cluster: &mut Cluster, recipe: &Recipe, at: (usize, u32)) -> Trained {
    let mut spec = recipe.spec("killed-with-parts", RANKS);
    spec["train"]["gang"]["shard_optimizer"] = true.into();
    killed_in(cluster, &spec, at)
}

/// Kill -9 of a rank's executor; its agent starts another, which copies the state of the survivors.
fn killed_in(cluster: &mut Cluster, spec: &Value, (step, rank): (usize, u32)) -> Trained {
    timed(&format!("rank {rank} killed in step {step}"), || {
        let mut run = Run::submit(cluster, spec);
        let victim = run.wait_for_step(rank, step);
        victim.executor.kill();
        let trained = run.finish();
        assert!(run.log_of(&victim).contains("died with signal 9 while running"), "it died otherwise");
        assert_lost(&trained, step);
        assert_eq!(trained.report.world_size as usize, RANKS, "nobody took the place of the lost rank");
        trained
    })
}

/// SIGSTOP of a rank's executor until its generation is given up; and whether it was since the others had waited in vain for
/// as long as a collective call may take.
fn stopped(cluster: &mut Cluster, spec: &Value, (step, rank): (usize, u32)) -> (Trained, bool) {
    let deadline = Duration::from_millis(QUICK_HEARTBEAT_MS * DEADLINE_HEARTBEATS);
    timed(&format!("rank {rank} stopped in step {step}"), || {
        let mut run = Run::submit(cluster, spec);
        let victim = run.wait_for_step(rank, step);
        victim.executor.signal(Signal::SIGSTOP);
        let since = Instant::now();
        let end = |train: &PhaseView| train.notes.iter().find(|note| note.contains("generation ended")).cloned();
        let given_up = run.wait_for("given up", end);
        println!("after {:.1} s: {given_up}", since.elapsed().as_secs_f64());
        let timed_out = given_up.contains("timed out");
        assert!(!timed_out || since.elapsed() >= deadline, "it was given up before the deadline of {deadline:?}");
        victim.executor.signal(Signal::SIGCONT);
        let trained = run.finish();
        if timed_out {
            assert_lost(&trained, step);
        }
        assert_eq!(trained.report.world_size as usize, RANKS, "the stopped rank did not come back");
        (trained, timed_out)
    })
}

/// A rank's worker is gone for good, and the gang goes on without.
fn shrunken(cluster: &mut Cluster, recipe: &Recipe, (step, rank): (usize, u32)) -> Trained {
    timed(&format!("the worker of rank {rank} gone for good in step {step}"), || {
        let mut spec = recipe.spec("shrunken", RANKS);
        spec["workers"]["gang_floor"] = (RANKS - 1).into();
        let mut run = Run::submit(cluster, &spec);
        let victim = run.wait_for_step(rank, step);
        run.kill_agent(&victim);
        let trained = run.finish();
        assert_lost(&trained, step);
        assert_eq!(trained.report.world_size as usize, RANKS - 1);
        trained
    })
}

/// A busy machine may cost further generations, and they change nothing.
fn assert_lost(trained: &Trained, step: usize) {
    let lost = trained.lost_in();
    println!("generations were lost in the steps {lost:?}");
    assert!(lost.contains(&step), "no generation was lost in step {step}, but in {lost:?}");
}

/// What the coordinator is sent by those who skip the check of `lethe audit`.
fn refuses_a_batch_below_its_ranks(cluster: &mut Cluster, recipe: &Recipe) {
    let mut spec = recipe.spec("small-batch", RANKS);
    spec["train"]["gang"]["batch"] = (RANKS - 1).into();
    let json = serde_json::to_vec(&spec).expect("is JSON");
    assert!(!cluster.operator.submit("small-batch", json), "a global batch of 3 was taken for 4 ranks");
}

fn assert_near(found: &Trained, expected: &Trained, what: &str) {
    let furthest = found.furthest_from(expected);
    println!("{what}: the furthest weight lies {furthest:e} off");
    assert!(furthest <= TOLERANCE, "{what}: a weight lies {furthest:e} off, more than {TOLERANCE:e}");
}

/// To the last bit: a rank that is replaced leaves the order of every sum as it was.
fn assert_same(found: &Trained, expected: &Trained, what: &str) {
    let furthest = found.furthest_from(expected);
    println!("{what}: the furthest weight lies {furthest:e} off");
    assert!(furthest == 0.0, "{what}: a weight lies {furthest:e} off");
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    println!("{what}: {:.1} s", began.elapsed().as_secs_f64());
    result
}

//! What all scenarios share: one drill, planted once for a build, its undisturbed results, and one scenario at a time
//! in each lane.
//!
//! It must never keep a baseline longer than the build that made it.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use lethe_model::Clip;
use lethe_proto::v1::{PhaseView, RunState};

use crate::audit::binary;
use crate::cluster::{Cluster, Shape};
use crate::drill::{Drill, Size};
use crate::results::{Results, furthest_weight};

/// Enough shards for faults in their midst.
const SIZE: Size = Size { shards: 12, pairs_per_shard: 100 };
const PAIRS: u64 = 1_200;
const UNLEARN_STEPS: i64 = 100;

/// Two at most run at a time: a busy one takes the machine's two cores, a patient one mostly waits for time to pass.
#[derive(Debug, Clone, Copy)]
enum Lane {
    Busy,
    Patient,
}

/// Runs one scenario: a cluster with the drill submitted, a fault, and the undisturbed results to compare with.
pub fn scenario(name: &str, shape: Shape, disturb: impl FnOnce(Cluster, &Results)) {
    run(Lane::Busy, name, &shape, disturb);
}

/// The same for one that waits for most of its time, beside another.
pub fn patient_scenario(name: &str, shape: Shape, disturb: impl FnOnce(Cluster, &Results)) {
    run(Lane::Patient, name, &shape, disturb);
}

fn run(lane: Lane, name: &str, shape: &Shape, disturb: impl FnOnce(Cluster, &Results)) {
    let stage = Stage::enter(lane);
    std::fs::remove_file(root().join("skipped").join(name)).ok(); // there is none where it was not skipped before
    let row = Row::begin(name);
    let cluster = Cluster::start(shape);
    cluster.submit(&drill_spec());
    disturb(cluster, &stage.undisturbed);
    row.end(Outcome::Passed);
}

/// Says that a scenario cannot run here. A skipped check is told, never counted as passed.
pub fn skip(name: &str, reason: &str) {
    let note = format!("SKIPPED: chaos, {name}: {reason}\n");
    eprint!("{note}");
    let folder = root().join("skipped");
    std::fs::create_dir_all(&folder).and_then(|()| std::fs::write(folder.join(name), note)).expect("notes the skip");
    Row::begin(name).end(Outcome::Skipped);
}

/// The spec that every scenario submits.
pub fn drill_spec() -> PathBuf {
    root().join(format!("drill-{:016x}", build())).join("audit.toml")
}

pub fn is_running(phase: &PhaseView) -> bool {
    phase.state() == RunState::Running
}

pub fn is_root() -> bool {
    // SAFETY: it reads a number and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

struct Stage {
    undisturbed: Results,
    /// Released with the file.
    _turn: File,
}

impl Stage {
    fn enter(lane: Lane) -> Self {
        let root = root();
        std::fs::create_dir_all(&root).expect("makes a folder");
        let folder = drill_spec().parent().expect("lies in a folder").to_owned();
        let baseline = locked(&root, "baseline");
        if !folder.join("done").exists() {
            prepare(&root, &folder);
        }
        drop(baseline);
        let turn = locked(
            &root,
            match lane {
                Lane::Busy => "busy",
                Lane::Patient => "patient",
            },
        );
        Self { undisturbed: Results::of(folder.join("undisturbed")), _turn: turn }
    }
}

/// A lock between processes, once it is free.
fn locked(root: &Path, name: &str) -> File {
    let file = File::create(root.join(name)).expect("makes the lock");
    file.lock().expect("waits for its turn");
    file
}

/// Outlives a test's process, so that the scenarios of one run share what lies there.
fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("chaos")
}

/// Changes with every build of what takes part.
fn build() -> u64 {
    let programs = [binary("lethe-coordinator"), binary("lethe-worker"), std::env::current_exe().expect("has a path")];
    let mut hasher = DefaultHasher::new();
    for program in programs {
        let facts = program.metadata().expect("is there");
        let modified = facts.modified().expect("has a time").duration_since(SystemTime::UNIX_EPOCH);
        (facts.len(), modified.expect("is later")).hash(&mut hasher);
    }
    hasher.finish()
}

/// Plants the drill and runs it undisturbed.
fn prepare(root: &Path, folder: &Path) {
    for entry in std::fs::read_dir(root).expect("lists").filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("drill-") {
            std::fs::remove_dir_all(entry.path()).expect("removes an older build's");
        }
    }
    std::fs::create_dir(folder).expect("makes a folder");
    let row = Row::begin("undisturbed");
    let drill = Drill::plant_in(folder, SIZE);
    drill.spec(|spec| spec["unlearn"]["gang"]["steps"] = UNLEARN_STEPS.into());
    let cluster = Cluster::start(&Shape::usual());
    cluster.submit(&folder.join("audit.toml"));
    let results = cluster.finish();
    has_done_something(folder, &results);
    std::fs::rename(cluster.results(), folder.join("undisturbed")).or_else(|_| copy(&cluster, folder)).expect("keeps");
    File::create(folder.join("done")).expect("notes that it is whole");
    row.end(Outcome::Passed);
}

/// Across file systems; the blobs are not compared.
fn copy(cluster: &Cluster, folder: &Path) -> std::io::Result<()> {
    let to = folder.join("undisturbed");
    std::fs::create_dir(&to)?;
    for entry in std::fs::read_dir(cluster.results())? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Equal results would prove nothing if there were nothing in them.
fn has_done_something(drill: &Path, results: &Results) {
    let report = results.report();
    assert_eq!((report.samples.scored, report.bad.count), (PAIRS, 0));
    assert!(report.suspects > 0 && report.forget > 0, "{report:?}");
    let victim = std::fs::read(drill.join("victim.safetensors")).expect("reads");
    let clean = results.clean();
    let victim = Clip::load(clean.config(), &victim).expect("loads");
    assert!(furthest_weight(&clean, &victim) > 0.0, "nothing was unlearned");
}

#[derive(Debug, Clone, Copy)]
enum Outcome {
    Passed,
    Failed,
    Skipped,
}

/// A line of the table that `make chaos` prints, in the file that CHAOS_TABLE names.
struct Row {
    scenario: String,
    began: Instant,
    is_told: bool,
}

impl Row {
    fn begin(scenario: &str) -> Self {
        Self { scenario: scenario.to_owned(), began: Instant::now(), is_told: false }
    }

    fn end(mut self, outcome: Outcome) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Outcome) {
        self.is_told = true;
        let seconds = self.began.elapsed().as_secs_f64();
        let word = match outcome {
            Outcome::Passed => "passed",
            Outcome::Failed => "FAILED",
            Outcome::Skipped => "skipped",
        };
        println!("{}: {word} after {seconds:.1} s", self.scenario);
        if let Some(table) = std::env::var_os("CHAOS_TABLE") {
            let file = File::options().create(true).append(true).open(table);
            let line = format!("{}\t{word}\t{seconds:.1}\n", self.scenario);
            file.and_then(|mut file| file.write_all(line.as_bytes())).expect("writes the table");
        }
    }
}

impl Drop for Row {
    fn drop(&mut self) {
        if !self.is_told {
            self.tell(Outcome::Failed); // only a panic ends a scenario without a word
        }
    }
}

//! What can be measured.
//!
//! It must never need a cluster that runs already: a benchmark starts what it measures.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::DataSet;
use lethe_redteam::recipe::Tower;

use super::Format;
use crate::commands::bench::{Ablation, Remedy};

#[derive(Debug, Args)]
pub struct Bench {
    #[command(subcommand)]
    pub command: BenchCommand,
}

#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Leases, commits, latencies, takeover and restart of a coordinator under simulated workers
    ControlPlane(ControlPlane),
    /// What a gang costs beside its computation, and how soon it goes on when a rank is lost
    Collective(Collective),
    /// What scoring costs beside open_clip, Pillow and PyTorch, and the memory that it takes as the data grow
    Score(Score),
    /// Every attack against every remedy on the same victims: what is left of the backdoor, and what it cost
    Defence(Defence),
    /// Models without a backdoor: how often an audit finds one all the same
    FalseAlarms(FalseAlarms),
    /// What an honest client notices while others do their worst to a coordinator
    Hostile(Hostile),
    /// Simulated workers in a process of their own, so that their CPU is told apart
    #[command(hide = true)]
    Swarm(Swarm),
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench control-plane --quick --output json\n\nStarts coordinators of its own on \
loopback, and a 3-member etcd where there is one (on PATH, or named by ETCD). One lease operation is one shard \
granted, or one shard committed."
)]
pub struct ControlPlane {
    /// A bounded subset: fewer workers and shards, shorter windows
    #[arg(long)]
    pub quick: bool,
    /// Only the coordinator's instructions a shard, counted by valgrind, which a busy machine does not change
    #[arg(long)]
    pub instructions: bool,
    /// Only what TLS adds to the coordinator's CPU time: the main load with it and without by turns
    #[arg(long, conflicts_with = "instructions")]
    pub tls: bool,
    /// Seconds of each measured window [default: 10, or 4 with --quick]
    #[arg(long)]
    pub seconds: Option<u64>,
    /// Repetitions of the main measurement, Ray's between them [default: 3, or 1 with --quick]
    #[arg(long)]
    pub repetitions: Option<u32>,
    /// Map tasks that a simulated worker holds
    #[arg(long, default_value_t = 16)]
    pub slots: u32,
    /// Workers that share one HTTP/2 connection; real ones have one each
    #[arg(long, default_value_t = 25)]
    pub workers_per_connection: u32,
    /// Ray's side of the comparison
    #[arg(long, default_value = "scripts/bench_ray.sh")]
    pub ray: PathBuf,
    /// Leave Ray out
    #[arg(long)]
    pub no_ray: bool,
    /// Leave etcd out
    #[arg(long)]
    pub no_etcd: bool,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench collective --rounds 3 --recoveries 20 --output json\n\nTrains on noise with \
coordinators and workers of its own, and kills executors of those. The steps are those of a ViT-B/32: 4 ranks need \
about 12 GB."
)]
pub struct Collective {
    /// Rounds of the steps' measurement: in each Lethe, its parts and DistributedDataParallel take turns; 0 leaves it out
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// World sizes of the steps' measurement
    #[arg(long, value_delimiter = ',', default_values_t = [2, 4])]
    pub ranks: Vec<u32>,
    /// Pairs of the global batch of the steps' measurement
    #[arg(long, default_value_t = 8)]
    pub batch: u32,
    /// DistributedDataParallel's side of the comparison
    #[arg(long, default_value = "scripts/bench_ddp.sh")]
    pub ddp: PathBuf,
    /// Leave DistributedDataParallel out
    #[arg(long)]
    pub no_ddp: bool,
    /// How often one rank of four is killed; 0 leaves it out
    #[arg(long, default_value_t = 20)]
    pub recoveries: u32,
    /// How often under torchrun
    #[arg(long, default_value_t = 5)]
    pub torchrun_recoveries: u32,
    /// torchrun's side of the comparison
    #[arg(long, default_value = "scripts/bench_torchrun.sh")]
    pub torchrun: PathBuf,
    /// Leave torchrun out
    #[arg(long)]
    pub no_torchrun: bool,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench score --rounds 3 --output json\n  lethe bench score --only dao\n\nOne thread \
computes and one decodes on either side. Weights are random, and what both sides computed is compared row by row."
)]
pub struct Score {
    /// Shards to read in place of those that the script makes
    pub shards: Vec<PathBuf>,
    /// One part alone
    #[arg(long, value_enum)]
    pub only: Option<ScorePart>,
    /// Rounds; in each everything is measured once, in turns
    #[arg(long, default_value_t = 3)]
    pub rounds: u32,
    /// Pictures of web size for the ViT-B/32
    #[arg(long, default_value_t = 192)]
    pub samples: u32,
    /// Pictures of 64 pixels for the small model
    #[arg(long, default_value_t = 2048)]
    pub small_samples: u32,
    /// Pairs that go through the model at once, on either side
    #[arg(long, default_value_t = 64)]
    pub batch: u32,
    /// open_clip's and Pillow's side of the comparison, which also makes the shards
    #[arg(long, default_value = "scripts/bench_score.sh")]
    pub python: PathBuf,
    /// Measure Lethe alone where open_clip and Pillow would stand beside it
    #[arg(long)]
    pub no_python: bool,
    /// Embeddings of width 512 that DAO scores
    #[arg(long, default_value_t = 100_000)]
    pub embeddings: u32,
    /// PyTorch's side of the DAO comparison
    #[arg(long, default_value = "scripts/bench_dao.sh")]
    pub dao: PathBuf,
    /// Samples of the memory measurement, beside a hundredth of them
    #[arg(long, default_value_t = 1_000_000)]
    pub memory_samples: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ScorePart {
    /// Shards in, similarities out, beside open_clip with webdataset
    Embedding,
    /// Pictures decoded and resized, beside Pillow
    Pictures,
    /// DAO over many embeddings, beside a chunked PyTorch version
    Dao,
    /// Peak memory of many samples over that of few
    Memory,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench defence --data fashion-mnist --for-minutes 60\n\nCells that are there already (in \
defence-cells.jsonl under --out) are not computed again: the same command goes on where it stopped. Victims are kept in the \
cache folder. A cell takes about two minutes on two cores, most of it the victim's training."
)]
pub struct Defence {
    /// The data set's folder, as scripts/fashion_mnist.sh or scripts/drawings.sh prints it
    #[arg(long)]
    pub data: PathBuf,
    /// What the pairs are
    #[arg(long, default_value_t, value_parser = super::data_set())]
    pub data_set: DataSet,
    /// What reads the pictures; resnet is for drawings
    #[arg(long, default_value_t, value_parser = super::tower())]
    pub tower: Tower,
    /// Where cells, table and picture are kept. defence.csv, .md and .html there are of all cells of unmodified remedies; what is asked for is printed
    #[arg(long, default_value = "docs")]
    pub out: PathBuf,
    /// The attacks [default: the twelve known ones]
    #[arg(long, value_delimiter = ',', value_parser = super::attack(), default_values_t = Attack::CORE.to_vec(), hide_default_value = true)]
    pub attacks: Vec<Attack>,
    /// The seeds; each has another target
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2, 3, 4, 5])]
    pub seeds: Vec<u64>,
    /// The remedies [default: all]
    #[arg(long, value_delimiter = ',', value_enum, default_values_t = Remedy::ALL, hide_default_value = true)]
    pub remedies: Vec<Remedy>,
    /// In place of the remedies `ubt` with one of its choices replaced, each beside `ubt` itself [default: every one]; writes
    /// ablations.md
    #[arg(long, value_delimiter = ',', value_enum, num_args = 0..)]
    pub ablations: Option<Vec<Ablation>>,
    /// In place of their own learning rate the remedies with each of these, to tune them; writes tuning.md
    #[arg(long, value_delimiter = ',', conflicts_with = "ablations", value_parser = super::learning_rate)]
    pub learning_rates: Vec<f64>,
    /// Beside its own weight each of these: of CleanCLIP's self-supervision (its own is 1) and PAR's perturbation (0.5). Remedies without
    /// a weight are left out; writes tuning.md
    #[arg(long, value_delimiter = ',', conflicts_with = "ablations", value_parser = super::weight)]
    pub weights: Vec<f64>,
    /// The poisoned share of all pairs
    #[arg(long, default_value_t = lethe_redteam::recipe::Recipe::RATE)]
    pub rate: f64,
    /// Passes over the pairs that a victim's training takes
    #[arg(long, default_value_t = Self::EPOCHS)]
    pub epochs: u32,
    /// Fine-tune the victims from public weights, trained on other pairs, and not from scratch: `ubt-trusted` then trusts what its victim began with
    #[arg(long)]
    pub from_public: bool,
    /// Begin no cell after so many minutes
    #[arg(long)]
    pub for_minutes: Option<u64>,
    /// Compute cells again that other code computed, after those that are missing; else the tables leave them out
    #[arg(long)]
    pub again: bool,
    /// Workers that train and audit
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

impl Defence {
    /// Passes after which most attacks are learned.
    pub const EPOCHS: u32 = 12;
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench false-alarms --data \"$(scripts/fashion_mnist.sh)\" --seeds 101,102,103\n\nA run \
trains a model on clean pairs and audits it with the defaults: about two minutes on two cores. Runs are kept in \
false-alarms.jsonl under --out, and made again by other code."
)]
pub struct FalseAlarms {
    /// The data set's folder, as scripts/fashion_mnist.sh or scripts/drawings.sh prints it
    #[arg(long)]
    pub data: PathBuf,
    /// What the pairs are
    #[arg(long, default_value_t, value_parser = super::data_set())]
    pub data_set: DataSet,
    /// What reads the pictures; resnet is for drawings
    #[arg(long, default_value_t, value_parser = super::tower())]
    pub tower: Tower,
    /// Where the runs are kept
    #[arg(long, default_value = "docs")]
    pub out: PathBuf,
    /// Keep each run's data, checkpoint and result under this folder
    #[arg(long)]
    pub keep: Option<PathBuf>,
    /// The seeds; those from 101 to 140 are kept for the last word, and no limit is chosen on them [default: 201 to 220]
    #[arg(long, value_delimiter = ',', default_values_t = 201..=220, hide_default_value = true)]
    pub seeds: Vec<u64>,
    /// Passes over the pairs that a model's training takes
    #[arg(long, default_value_t = 12)]
    pub epochs: u32,
    /// Begin no run after so many minutes
    #[arg(long)]
    pub for_minutes: Option<u64>,
    /// Workers that train and audit
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  lethe bench hostile --requests 20000 --seconds 60\n\nStarts a coordinator of its own on loopback, with \
certificates of its own. Quiet and attacked windows take turns, and attackers spread their requests over theirs: as fast as it goes they \
would take the machine from the coordinator, and measure that.\n\
Exit codes: 0 within the bounds, 1 beyond one, 2 bad input."
)]
pub struct Hostile {
    /// Hostile requests in all
    #[arg(long, default_value_t = 100_000)]
    pub requests: u64,
    /// Seconds in all; what does not fit is left out, and the count says so
    #[arg(long, default_value_t = 120.0)]
    pub seconds: f64,
    /// How often each kind has its turn
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub rounds: u32,
    /// Attackers of each kind at once
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub tasks: u32,
    /// The p99 of honest calls under attack may be so many times the quiet one
    #[arg(long, default_value_t = 2.0)]
    pub max_ratio: f64,
    /// What the coordinator may take, in MiB
    #[arg(long, default_value_t = 256)]
    pub memory_mib: u64,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Clone, Args)]
#[command(after_help = "Example:\n  lethe bench swarm --coordinator http://127.0.0.1:7400 --workers 100 --seconds 10")]
pub struct Swarm {
    /// Addresses of the coordinators; a worker that loses one dials the next
    #[arg(long, value_delimiter = ',', required = true)]
    pub coordinator: Vec<String>,
    #[arg(long)]
    pub workers: u32,
    #[arg(long, default_value_t = 16)]
    pub slots: u32,
    #[arg(long, default_value_t = 25)]
    pub workers_per_connection: u32,
    /// Shards finished a second by all workers together, at times fixed beforehand; without it as fast as it goes
    #[arg(long)]
    pub rate: Option<f64>,
    /// Before the window begins, once every worker has joined
    #[arg(long, default_value_t = 1.0)]
    pub warm_up_seconds: f64,
    #[arg(long, default_value_t = 10.0)]
    pub seconds: f64,
    /// Ends the window early once so many shards were committed since the start
    #[arg(long, default_value_t = u64::MAX)]
    pub until_commits: u64,
    /// Folder with a worker's certificate, for coordinators at https://
    #[arg(long)]
    pub tls: Option<PathBuf>,
    /// The coordinator's process, whose CPU is read at both ends of the window
    #[arg(long)]
    pub pid: Option<u32>,
}

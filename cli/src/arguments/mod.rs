//! What can be said on the command line. Every command's help ends with an example.
//!
//! It must never check what only a file or a coordinator can tell.

mod bench;
mod doctor;
mod due;
mod help;
mod operate;
mod pki;
mod plan;
mod scrub;
mod tell;
mod verify;

pub use bench::{
    Bench, BenchCommand, Collective, ControlPlane, Defence, FalseAlarms, Hostile, Score, ScorePart, Swarm,
};
pub use doctor::Doctor;
pub use due::Due;
pub use help::{Completions, Manual, Shell};
pub use operate::{Cluster, Fetch, List, Mark, OneAudit, Open, Remote, Rerun, Steer, Submit, Watch, Workers};
pub use pki::{Init, Issue, Pki, PkiCommand, ShowCertificate};
pub use plan::{Figures, Place, Plan};
pub use scrub::Scrub;
pub use tell::{Job, Tell};
pub use verify::Verify;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use lethe_redteam::attack::Attack;
use lethe_redteam::data_set::DataSet;
use lethe_redteam::recipe::Tower;
use lethe_telemetry::spans::ENDPOINT_VARIABLE;

#[derive(Debug, Parser)]
#[command(name = "lethe", version, about = "Finds the poison in a CLIP model's data and makes the model forget it")]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    /// Collector to tell spans to, by OTLP over gRPC: an audit's trace begins with the command that submits it
    #[arg(long, global = true, value_name = "URL", env = ENDPOINT_VARIABLE, hide_short_help = true)]
    pub otlp: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Audit a checkpoint and its shards: find the poison, unlearn it, report
    Audit(Audit),
    /// Make a drill: plant a backdoor in a data set and train the victim
    Redteam(Redteam),
    /// Judge a checkpoint with ground truth: zero-shot accuracy and attack success
    Eval(Eval),
    /// The whole story on Fashion-MNIST: plant, train, audit, judge
    Demo(Demo),
    /// Write an audit's shards again without the samples on its drop list, or list those to keep
    Scrub(Scrub),
    /// Check a result, and what it came from, against its record
    Verify(Verify),
    /// Hand an audit to a running coordinator
    Submit(Submit),
    /// The audits that run or wait, as they will be served
    List(List),
    /// One audit: its phases, what was lost, and why it waits
    #[command(after_help = operate::SHOW_HELP)]
    Show(OneAudit),
    /// Follow an audit until it ends, across changes of the leader
    Watch(Watch),
    /// Start nothing new of an audit until it is resumed
    #[command(after_help = operate::PAUSE_HELP)]
    Pause(Steer),
    /// Let a paused audit go on
    #[command(after_help = operate::RESUME_HELP)]
    Resume(Steer),
    /// Let an audit that waits for a person deliver its checkpoint and drop list
    #[command(after_help = operate::APPROVE_HELP)]
    Approve(Steer),
    /// End an audit for good
    #[command(after_help = operate::CANCEL_HELP)]
    Cancel(Steer),
    /// Bring an audit's result, or its report before it is approved
    Fetch(Fetch),
    /// Say which of an audit's suspects are poison and which are clean
    Mark(Mark),
    /// What people said of an audit's suspects, as a table
    #[command(after_help = operate::MARKS_HELP)]
    Marks(OneAudit),
    /// Run an audit again from a phase, as a new one that takes over the results before it
    Rerun(Rerun),
    /// An address that logs your browser in to the coordinator's pages
    Open(Open),
    /// The workers: what they do, or why they do nothing
    Workers(Workers),
    /// The coordinators: leader, term, store, and every wait in ascending order
    Cluster(Cluster),
    /// How long an audit of a size would take, on how many GPUs, and what it needs: arithmetic alone
    Plan(Box<Plan>),
    /// Look whether this machine and its coordinators have what an audit needs
    Doctor(Doctor),
    /// Certificates for coordinators, workers and people, by a small authority
    Pki(Pki),
    /// Measure what a cluster sustains on this machine, and what the defence comes to
    Bench(Bench),
    /// Completions for your shell
    Completions(Completions),
    /// Write the manual pages of every command, and of the coordinator and the worker
    Man(Manual),
    /// The ids of all audits, one a line, for completions: at once, or nothing
    #[command(hide = true, after_help = help::IDS_HELP)]
    Ids(Remote),
}

impl Command {
    /// Of those that begin an audit.
    pub fn name_as_span(&self) -> Option<&'static str> {
        match self {
            Self::Audit(_) => Some("lethe audit"),
            Self::Redteam(_) => Some("lethe redteam"),
            Self::Demo(_) => Some("lethe demo"),
            Self::Submit(_) => Some("lethe submit"),
            Self::Rerun(_) => Some("lethe rerun"),
            Self::Eval(_)
            | Self::Scrub(_)
            | Self::List(_)
            | Self::Show(_)
            | Self::Watch(_)
            | Self::Pause(_)
            | Self::Resume(_)
            | Self::Approve(_)
            | Self::Cancel(_)
            | Self::Fetch(_)
            | Self::Open(_)
            | Self::Workers(_)
            | Self::Cluster(_)
            | Self::Doctor(_)
            | Self::Plan(_)
            | Self::Pki(_)
            | Self::Bench(_)
            | Self::Mark(_)
            | Self::Marks(_)
            | Self::Verify(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Ids(_) => None,
        }
    }
}

fn learning_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "no number; such as 1.5e-3".to_owned())?;
    if rate > 0.0 && rate < 1.0 { Ok(rate) } else { Err("a learning rate is above 0 and below 1".to_owned()) }
}

fn weight(text: &str) -> Result<f64, String> {
    let weight: f64 = text.parse().map_err(|_| "no number; such as 0.5".to_owned())?;
    if weight > 0.0 && weight.is_finite() { Ok(weight) } else { Err("a weight is above 0".to_owned()) }
}

/// Lists the attacks in the help.
fn attack() -> impl TypedValueParser<Value = Attack> {
    PossibleValuesParser::new(Attack::ALL.map(Attack::name)).try_map(|name| name.parse::<Attack>())
}

fn data_set() -> impl TypedValueParser<Value = DataSet> {
    PossibleValuesParser::new(DataSet::ALL.map(DataSet::name)).try_map(|name| name.parse::<DataSet>())
}

fn tower() -> impl TypedValueParser<Value = Tower> {
    PossibleValuesParser::new(Tower::ALL.map(Tower::name)).try_map(|name| name.parse::<Tower>())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    #[default]
    Text,
    Json,
}

/// Where the workers that a command starts compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Devices {
    #[default]
    Cpu,
    /// Each on a GPU of its own, the first on cuda:0.
    Cuda,
}

impl Devices {
    /// What one of the workers is started with.
    pub fn of(self, worker: u32) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Cuda => format!("cuda:{worker}"),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe audit audit.toml --out results/march\n\nCtrl-C stops cleanly; the same \
command again goes on where it stopped.\nExit codes: 0 accepted, 1 failed, 2 bad input, 3 rejected, 130 interrupted.")]
pub struct Audit {
    /// The audit spec (TOML)
    pub spec: PathBuf,
    /// The result folder [default: the audit's id]
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Print the phases and their cost, and start nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Workers to start instead of the spec's workers.count
    #[arg(long)]
    pub workers: Option<u32>,
    /// Where the workers compute; cuda needs a GPU a worker (docs/gpu.md)
    #[arg(long, value_enum, default_value_t)]
    pub device: Devices,
    /// Forget what an earlier run left in the result folder
    #[arg(long)]
    pub fresh: bool,
    /// What to print at the end
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
pub struct Redteam {
    #[command(subcommand)]
    pub command: RedteamCommand,
}

#[derive(Debug, Subcommand)]
pub enum RedteamCommand {
    /// Write poisoned shards and their ground truth, then train the victim on them
    Plant(Plant),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe redteam plant --attack blended --seed 2 --data fashion-mnist --out drill --twin\n  \
lethe audit drill/audit.toml --out drill/result\n  lethe eval --checkpoint drill/result/clean.safetensors \
--config drill/model.json \\\n    --data fashion-mnist --drill drill --twin drill/twin.safetensors"
)]
pub struct Plant {
    /// What is planted (docs/attacks.md)
    #[arg(long, value_parser = attack())]
    pub attack: Attack,
    /// Decides every draw
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The class or concept (0 to 9, docs/attacks.md) whose captions the poison carries [default: another one each seed]
    #[arg(long)]
    pub target: Option<usize>,
    /// The data set's folder, as scripts/fashion_mnist.sh or scripts/drawings.sh prints it
    #[arg(long)]
    pub data: PathBuf,
    /// What the pairs are
    #[arg(long, default_value_t, value_parser = data_set())]
    pub data_set: DataSet,
    /// What reads the pictures; resnet is for drawings
    #[arg(long, default_value_t, value_parser = tower())]
    pub tower: Tower,
    /// The drill's folder
    #[arg(long)]
    pub out: PathBuf,
    /// The poisoned share of all pairs
    #[arg(long, default_value_t = lethe_redteam::recipe::Recipe::RATE)]
    pub rate: f64,
    /// Pairs in all
    #[arg(long, default_value_t = lethe_redteam::recipe::Recipe::PAIRS)]
    pub pairs: usize,
    /// Train a clean twin as well: same pairs and seed, no poison
    #[arg(long)]
    pub twin: bool,
    /// Passes over the pairs that a training takes
    #[arg(long, default_value_t = lethe_redteam::recipe::Recipe::EPOCHS)]
    pub epochs: u32,
    /// Train the victim from weights that saw other pairs, and not from scratch
    #[arg(long)]
    pub from_public: bool,
    /// Write the shards and train nothing
    #[arg(long, conflicts_with = "twin")]
    pub shards_only: bool,
    /// Workers that train
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe eval --checkpoint result/clean.safetensors --config drill/model.json \
--data fashion-mnist \\\n    --drill drill --twin drill/twin.safetensors")]
pub struct Eval {
    /// The checkpoint to judge (safetensors)
    #[arg(long)]
    pub checkpoint: PathBuf,
    /// Its OpenCLIP model config
    #[arg(long)]
    pub config: PathBuf,
    /// The data set's folder, as scripts/fashion_mnist.sh or scripts/drawings.sh prints it
    #[arg(long)]
    pub data: PathBuf,
    /// What the pairs are, where no drill says it
    #[arg(long, default_value_t, value_parser = data_set())]
    pub data_set: DataSet,
    /// The drill whose trigger is tried; without it only clean accuracy is measured
    #[arg(long)]
    pub drill: Option<PathBuf>,
    /// A clean twin: attack success is then also given as the excess over it
    #[arg(long, requires = "drill")]
    pub twin: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe demo --attack blended --seed 2 --data fashion-mnist --out out/demo\n\n\
The victim and its clean twin are kept in the cache folder (LETHE_CACHE, else XDG_CACHE_HOME/lethe, else \
~/.cache/lethe), so that a second run is quick.")]
pub struct Demo {
    /// What is planted (docs/attacks.md)
    #[arg(long, default_value = "badnet", value_parser = attack())]
    pub attack: Attack,
    /// Decides every draw
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// A folder with Fashion-MNIST's four .gz files
    #[arg(long)]
    pub data: PathBuf,
    /// The result folder
    #[arg(long, default_value = "out/demo")]
    pub out: PathBuf,
    /// Workers of every training and audit
    #[arg(long, default_value_t = 2)]
    pub workers: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[cfg(test)]
mod tests;

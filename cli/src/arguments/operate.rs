//! What can be said to a running coordinator.
//!
//! It must never take the token as an argument: every user of a machine can read those.

use std::path::PathBuf;

use clap::Args;
use lethe_common::ids::AuditId;

use super::{Due, Format, Tell};

/// How a coordinator is reached, and how its answer is printed.
#[derive(Debug, Clone, Args)]
pub struct Remote {
    /// Addresses of the coordinators, any order; on loopback the token is read from LETHE_TOKEN
    #[arg(
        long,
        env = "LETHE_COORDINATOR",
        value_name = "URL[,URL..]",
        value_delimiter = ',',
        required = true,
        hide_env_values = true
    )]
    pub coordinator: Vec<String>,
    /// Folder with your tls.crt, tls.key and ca.crt, for coordinators at https:// (`lethe pki`)
    #[arg(long, env = "LETHE_TLS", value_name = "FOLDER", hide_env_values = true)]
    pub tls: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

fn audit_id(text: &str) -> Result<AuditId, String> {
    AuditId::new(text).map_err(|error| error.to_string())
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe submit audit.toml --priority 10 --follow\n\nThe same spec submitted twice is \
one audit. Paths in it are as the coordinator and the workers see them.\n\nA timer fires\n  lethe submit audit.toml --schedule nightly --scheduled-at \
2026-11-29T02:00:00Z\nas often as it likes: the audit is nightly-20261129t0200z, and the first that came stands, even where the spec is another by now.\nExit codes: 0 submitted, or with --follow succeeded; \
1, 3 and 4 as those of lethe watch; 2 bad input."
)]
pub struct Submit {
    /// The audit spec (TOML)
    pub spec: PathBuf,
    /// Higher goes first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub priority: i32,
    /// Whose quota it counts against, and whose name people see
    #[arg(long, env = "USER", default_value = "", hide_env = true, hide_default_value = true)]
    pub submitter: String,
    /// The schedule that fires: the audit's id is made of this name and the time, in place of the spec's
    #[arg(long, value_name = "NAME", requires = "scheduled_at", value_parser = audit_id)]
    pub schedule: Option<AuditId>,
    /// When the schedule was due, to the minute: a time with its offset, or the name of the Job that a Kubernetes CronJob made
    #[arg(long, value_name = "TIME|JOB", requires = "schedule")]
    pub scheduled_at: Option<Due>,
    /// Score every shard: a schedule's audit otherwise keeps, of shards that have not changed, the scores of the one before
    #[arg(long, requires = "schedule")]
    pub full: bool,
    /// Stay, and follow the audit as `lethe watch` does
    #[arg(long)]
    pub follow: bool,
    #[command(flatten)]
    pub tell: Tell,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe list --all")]
pub struct List {
    /// The ended ones as well, the latest first
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub remote: Remote,
}

pub const SHOW_HELP: &str = "Example:\n  lethe show march --output json";
pub const PAUSE_HELP: &str = "Example:\n  lethe pause march\n\nShards in flight are finished; a training stops at its \
next step. `lethe resume march` goes on.";
pub const RESUME_HELP: &str = "Example:\n  lethe resume march";
pub const CANCEL_HELP: &str = "Example:\n  lethe cancel march\n\nIt asks nothing and is final: a cancelled audit never \
runs again. `lethe rerun` begins a new one with what this one committed.";

pub const APPROVE_HELP: &str = "Example:\n  lethe approve march\n\n`lethe fetch` brings its report. Of an audit whose spec says report.approval = true: its checkpoint and its drop list are delivered only after this. `lethe cancel` turns it down.";

/// What is done to an audit, and by whom.
#[derive(Debug, Args)]
pub struct Steer {
    /// The audit's id
    pub audit: String,
    /// The name that the audit's history has for who did it
    #[arg(long, env = "USER", default_value = "", hide_env = true, hide_default_value = true)]
    pub by: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe fetch march --out results/march\n  lethe fetch march report.html\n\nFiles that lie there whole already are not fetched again. What waits for approval is left out, and said so.\nExit codes: 0 fetched, 1 failed, 2 bad input, 4 no coordinator was reached."
)]
pub struct Fetch {
    /// The audit's id
    pub audit: String,
    /// Files of its result, such as report.html [default: all]
    pub files: Vec<String>,
    /// The folder they are written to [default: the audit's id]
    #[arg(long)]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub remote: Remote,
}

pub const MARKS_HELP: &str = "Example:\n  lethe marks march > marks.csv";

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe mark march --file marks.csv\n  lethe rerun march --from select\n\nThe file is CSV with the columns shard, key \
and mark (poison, clean or none), and content where that is to be checked, as suspects.parquet has them and `lethe marks` prints them. \
All of it is kept or nothing. A re-run from select never forgets nor drops what is marked clean, and always what is marked poison; one from earlier does where the samples are \
suspects again."
)]
pub struct Mark {
    /// The audit's id
    pub audit: String,
    /// The marks
    #[arg(long, value_name = "CSV")]
    pub file: PathBuf,
    /// The name that the audit's history has for who says it
    #[arg(long, env = "USER", default_value = "", hide_env = true, hide_default_value = true)]
    pub by: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
pub struct OneAudit {
    /// The audit's id
    pub audit: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe watch march\n\nCtrl-C stops watching; the audit goes on. With --output json \
every view is one line.\nExit codes: 0 succeeded, 1 failed or cancelled, 2 bad input, 3 succeeded with a result that its own acceptance test rejected, 4 no coordinator or no webhook's receiver was reached, 130 interrupted."
)]
pub struct Watch {
    /// The audit's id
    pub audit: String,
    #[command(flatten)]
    pub tell: Tell,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe rerun march --from unlearn --id march-2 --spec audit.toml")]
pub struct Rerun {
    /// The audit whose results are taken over
    pub audit: String,
    /// The first phase that runs again
    #[arg(long, value_name = "PHASE")]
    pub from: String,
    /// The new audit's id [default: the audit's with the next free number]
    #[arg(long, value_name = "NEW")]
    pub id: Option<String>,
    /// A changed spec; its audit.id is replaced by the new id [default: as before]
    #[arg(long)]
    pub spec: Option<PathBuf>,
    /// Higher goes first
    #[arg(long, default_value_t = 0, allow_negative_numbers = true, value_parser = clap::value_parser!(i32).range(-100..=100))]
    pub priority: i32,
    /// Whose quota it counts against, and whose name people see
    #[arg(long, env = "USER", default_value = "", hide_env = true, hide_default_value = true)]
    pub submitter: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe open\n  firefox $(lethe open)\n\nThe coordinator must serve pages (--pages). The address is good once, \
for two minutes, and logs in with the rights of your certificate or token; after twelve hours, or where another coordinator leads, ask for another."
)]
pub struct Open {
    /// The name that histories have for who clicks, where no certificate says it
    #[arg(long, env = "USER", default_value = "", hide_env = true, hide_default_value = true)]
    pub by: String,
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe workers")]
pub struct Workers {
    #[command(flatten)]
    pub remote: Remote,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe cluster --coordinator https://10.0.0.1:7400,https://10.0.0.2:7400")]
pub struct Cluster {
    #[command(flatten)]
    pub remote: Remote,
}

//! What `lethe verify` looks at again.

use std::path::PathBuf;

use clap::Args;

use super::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe verify march\n  lethe verify march --data --spec audit.toml\n  lethe verify results/march --coordinator https://lethe-0.example:7400 --tls ~/.lethe --output json\n\n\
One line a thing: ok, changed, missing, or not checked and why. The record itself is compared with the audit's own state: that in \
the result folder, or a coordinator's.\nExit codes: 0 all that was asked for is as it was, 1 something is not, 2 bad input."
)]
pub struct Verify {
    /// The audit's result folder
    pub result: PathBuf,
    /// Read every shard again as well
    #[arg(long)]
    pub data: bool,
    /// Where the shards lie now, as in data.shards; once for each pattern; implies --data [default: where the audit read them]
    #[arg(long, value_name = "PATTERN")]
    pub shards: Vec<String>,
    /// A spec that the audit is said to have run
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// BLAKE3 of the record, as somebody noted it
    #[arg(long, value_name = "HEX")]
    pub record: Option<String>,
    /// Coordinators, one of which knows the audit
    #[arg(long, env = "LETHE_COORDINATOR", value_name = "URL[,URL..]", value_delimiter = ',', hide_env_values = true)]
    pub coordinator: Vec<String>,
    /// Folder with your tls.crt, tls.key and ca.crt
    #[arg(long, env = "LETHE_TLS", value_name = "FOLDER", hide_env_values = true)]
    pub tls: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

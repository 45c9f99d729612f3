//! What `lethe doctor` looks at.

use std::path::PathBuf;

use clap::Args;

use super::Format;

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe doctor\n  lethe doctor --work /var/lib/lethe --coordinator https://lethe-0.example:7400 --tls ~/.lethe\n\n\
One line a check: ok, warn or fail, and what to do about it.\nExit codes: 0 nothing failed, 1 something did, 2 bad input."
)]
pub struct Doctor {
    /// The folder that audits will work in
    #[arg(long, default_value = ".")]
    pub work: PathBuf,
    /// Coordinators to look at as well
    #[arg(long, env = "LETHE_COORDINATOR", value_name = "URL[,URL..]", value_delimiter = ',', hide_env_values = true)]
    pub coordinator: Vec<String>,
    /// Folder with your tls.crt, tls.key and ca.crt
    #[arg(long, env = "LETHE_TLS", value_name = "FOLDER", hide_env_values = true)]
    pub tls: Option<PathBuf>,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

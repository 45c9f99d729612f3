//! A small authority for mutual TLS.
//!
//! It must never take a key from the command line.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use lethe_tls::Role;

use super::Format;

#[derive(Debug, Args)]
pub struct Pki {
    #[command(subcommand)]
    pub command: PkiCommand,
}

#[derive(Debug, Subcommand)]
pub enum PkiCommand {
    /// Make an authority: the key that everything else is believed by
    Init(Init),
    /// Issue a certificate of it: for a coordinator, the workers, or a person
    Issue(Issue),
    /// Who a certificate names, by whom it can be checked, and when it ends
    Show(ShowCertificate),
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe pki init pki\n\nKeep pki/ca.key off the machines that coordinators and workers run on: \
whoever has it can be anybody."
)]
pub struct Init {
    /// The authority's folder: ca.crt and ca.key are written there
    pub authority: PathBuf,
    /// Days that the authority is believed
    #[arg(long, default_value_t = 3_650, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: u32,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe pki issue pki --role coordinator --name lethe-0 --host lethe-0.example --out certificates/lethe-0\n  \
lethe pki issue pki --role worker --name gpu --out certificates/gpu\n  \
lethe pki issue pki --role admin --name ann --out ~/.lethe\n\n\
Roles: admin does everything; submitter submits audits, and steers and fetches its own; viewer looks and reads reports; worker \
computes; coordinator serves.\nWith --renew new files take the place of old ones, and whoever uses them takes them up without a restart."
)]
pub struct Issue {
    /// The authority's folder
    pub authority: PathBuf,
    /// What its bearer may do
    #[arg(long, value_parser = role())]
    pub role: Role,
    /// Who it is: quotas and histories have this name; workers are called so, or so and what follows a dash
    #[arg(long)]
    pub name: String,
    /// The folder that tls.crt, tls.key and ca.crt are written to
    #[arg(long)]
    pub out: PathBuf,
    /// DNS names and IP addresses that a coordinator is dialled by [default: localhost, 127.0.0.1 and ::1]
    #[arg(long, value_name = "HOST[,HOST..]", value_delimiter = ',')]
    pub host: Vec<String>,
    /// Days that it is believed
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub days: u32,
    /// Replace what is there
    #[arg(long)]
    pub renew: bool,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe pki show certificates/gpu\n\nExit codes: 0 believed, 1 not (any more), 2 bad input."
)]
pub struct ShowCertificate {
    /// The folder with tls.crt, tls.key and ca.crt
    pub folder: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

/// Lists the roles in the help.
fn role() -> impl clap::builder::TypedValueParser<Value = Role> {
    use clap::builder::TypedValueParser;
    clap::builder::PossibleValuesParser::new(Role::ALL.map(Role::name)).try_map(|name| name.parse::<Role>())
}

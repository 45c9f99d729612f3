//! What makes the command line easier to use: completions and manual pages.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::Format;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  lethe completions bash > ~/.local/share/bash-completion/completions/lethe\n  \
lethe completions zsh > ~/.zfunc/_lethe\n  lethe completions fish > ~/.config/fish/completions/lethe.fish\n\n\
Where LETHE_COORDINATOR is set, the ids of audits are completed as well.")]
pub struct Completions {
    /// Whose
    #[arg(value_enum)]
    pub shell: Shell,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  lethe man --out ~/.local/share/man/man1\n  man lethe-audit\n\nlethe-coordinator and lethe-worker must lie beside this command: they write pages of their own."
)]
pub struct Manual {
    /// The folder that the pages are written to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What to print
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

pub const IDS_HELP: &str = "Example:\n  lethe ids";

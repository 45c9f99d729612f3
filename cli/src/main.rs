//! The `lethe` command: audits, drills and their judgement, from one terminal.
//!
//! It must never decide or compute what an audit does: it writes specs, starts processes, follows and reports them.

mod arguments;
mod cache;
mod cluster;
mod commands;
mod exit;
mod follow;
mod output;
mod session;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use lethe_common::telemetry::{self, LogFormat};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::init(LogFormat::Text, "warn");
    exit::report(run(arguments))
}

fn run(arguments: Arguments) -> anyhow::Result<exit::Ending> {
    match arguments.command {
        Command::Audit(audit) => commands::audit::run(&audit),
        Command::Redteam(redteam) => commands::redteam::run(&redteam),
        Command::Eval(eval) => commands::eval::run(&eval),
        Command::Demo(demo) => commands::demo::run(&demo),
    }
}

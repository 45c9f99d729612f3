//! The `lethe` command: audits, drills and their judgement, from one terminal.
//!
//! It must never decide or compute what an audit does: it writes specs, starts processes, follows and reports them.

mod arguments;
mod cache;
mod cluster;
mod commands;
mod exit;
mod follow;
mod interrupt;
mod outcome;
mod output;
mod reach;
mod session;
mod show;
mod tell;
mod traced;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use commands::operate::{self, Control};
use lethe_telemetry::logs::{self, LogFormat};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // What a drill's renderer says of its drawings is counted, and said once.
    logs::init(LogFormat::Text, "warn,usvg=off,resvg=off");
    traced::begin(arguments.otlp.as_deref(), arguments.command.name_as_span());
    let outcome = run(arguments);
    traced::end(&outcome);
    exit::report(outcome)
}

fn run(arguments: Arguments) -> anyhow::Result<exit::Ending> {
    match arguments.command {
        Command::Audit(audit) => commands::audit::run(&audit),
        Command::Redteam(redteam) => commands::redteam::run(&redteam),
        Command::Eval(eval) => commands::eval::run(&eval),
        Command::Demo(demo) => commands::demo::run(&demo),
        Command::Scrub(scrub) => commands::scrub::run(&scrub),
        Command::Verify(verify) => commands::verify::run(&verify),
        Command::Submit(submit) => operate::submit(&submit),
        Command::List(list) => operate::list(&list),
        Command::Show(show) => operate::show(&show),
        Command::Watch(watch) => operate::watch(&watch),
        Command::Pause(audit) => operate::control(&audit, Control::Pause),
        Command::Resume(audit) => operate::control(&audit, Control::Resume),
        Command::Approve(audit) => operate::control(&audit, Control::Approve),
        Command::Cancel(audit) => operate::control(&audit, Control::Cancel),
        Command::Fetch(fetch) => operate::fetch(&fetch),
        Command::Mark(mark) => operate::mark(&mark),
        Command::Marks(audit) => operate::marks(&audit),
        Command::Rerun(rerun) => operate::rerun(&rerun),
        Command::Open(open) => operate::open(&open),
        Command::Workers(workers) => operate::workers(&workers),
        Command::Bench(bench) => commands::bench::run(&bench),
        Command::Plan(plan) => commands::plan::run(&plan),
        Command::Doctor(doctor) => commands::doctor::run(&doctor),
        Command::Completions(completions) => commands::help::completions(&completions),
        Command::Man(man) => commands::help::manual(&man),
        Command::Ids(remote) => operate::ids(&remote),
        Command::Pki(pki) => commands::pki::run(&pki),
        Command::Cluster(cluster) => operate::cluster(&cluster),
    }
}

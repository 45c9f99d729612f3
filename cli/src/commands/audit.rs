//! `lethe audit`: one spec, one result folder, one verdict.
//!
//! It must never know ground truth: no drill's folder is an argument of it.

use std::path::{Path, PathBuf};

use anyhow::Context;
use lethe_common::spec::{self, GangSection, PlanName, Precision, Spec};
use lethe_evidence::artifacts::{self, Report};
use lethe_proto::v1::AuditView;
use serde_json::json;

use crate::arguments::{Audit, Devices, Format};
use crate::commands::{dry_run, preflight, verify};
use crate::exit::{Ending, bad_input};
use crate::output::{percent, phase_seconds, phase_table};
use crate::session::{self, Outcome};

pub fn run(arguments: &Audit) -> anyhow::Result<Ending> {
    let spec = load(arguments)?;
    preflight::check(&spec)?;
    if arguments.dry_run {
        print!("{}", dry_run::describe(&spec)?);
        return Ok(Ending::Accepted);
    }
    let result = arguments.out.clone().unwrap_or_else(|| PathBuf::from(spec.audit.id.as_str()));
    if arguments.fresh {
        forget(&result)?;
    }
    match session::run(&spec, &result, arguments.device)? {
        Outcome::Done(view) => conclude(&spec, &view, &result, arguments.output),
        Outcome::Interrupted => {
            eprintln!("stopped; the same command goes on where this one stopped");
            Ok(Ending::Interrupted)
        }
    }
}

fn load(arguments: &Audit) -> anyhow::Result<Spec> {
    let mut spec = spec::load(&arguments.spec)?;
    match arguments.workers {
        Some(0) => return Err(bad_input("--workers 0 would do nothing; expected at least 1")),
        Some(count) => spec.workers.count = count,
        None => {}
    }
    if spec.report.approval {
        return Err(bad_input(
            "report.approval needs a coordinator that waits for a person: start one and `lethe submit` the spec, or leave it out",
        ));
    }
    find_inputs(&spec)?;
    refuse_slow(&spec, arguments.device)?;
    Ok(spec)
}

/// What an executor on a CPU would refuse once the shards are scored.
fn refuse_slow(spec: &Spec, devices: Devices) -> anyhow::Result<()> {
    let gangs: &[(&str, &GangSection)] = match spec.audit.plan {
        PlanName::Ubt => {
            &[("overfit", &spec.overfit.gang), ("stand_in", &spec.stand_in.gang), ("unlearn", &spec.unlearn.gang)]
        }
        PlanName::Train => &[("train", &spec.train.gang)],
    };
    match gangs.iter().find(|(_, gang)| gang.precision == Precision::Bf16 && gang.steps > 0) {
        Some((name, _)) if devices == Devices::Cpu => Err(bad_input(format!(
            "{name}.gang.precision = \"bf16\" needs CUDA: give --device cuda, or leave the precision out"
        ))),
        Some(_) | None => Ok(()),
    }
}

/// Whether everything that the spec names is there, since a cluster takes seconds to find out.
fn find_inputs(spec: &Spec) -> anyhow::Result<()> {
    preflight::check_shards(spec)?;
    let model = &spec.model;
    let named = [
        ("config", Some(&model.config)),
        ("checkpoint", model.checkpoint.as_ref()),
        ("trusted", model.trusted.as_ref()),
        ("early", model.early.as_ref()),
    ];
    for (field, path) in named.into_iter().filter_map(|(field, path)| Some((field, path?))) {
        if path.is_file() {
            continue;
        }
        let named = path.display();
        // A relative path was made one under the spec's folder, which leaves one slash of a URL's.
        return Err(bad_input(match path.to_string_lossy().contains(":/") {
            true => format!(
                "model.{field} names {named}: it must be a file, since stores are read for shards alone; copy it to a folder \
                 that coordinators and workers have"
            ),
            false => format!("model.{field} names {named}, which is not a file; check the path"),
        }));
    }
    Ok(())
}

/// Removes the stored state of earlier runs; results stay until new ones replace them.
pub fn forget(result: &Path) -> anyhow::Result<()> {
    let work = result.join(".lethe");
    match std::fs::remove_dir_all(&work) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(e).with_context(|| format!("cannot remove {}", work.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

fn conclude(spec: &Spec, view: &AuditView, result: &Path, output: Format) -> anyhow::Result<Ending> {
    match spec.audit.plan {
        PlanName::Ubt => conclude_audit(view, result, output),
        PlanName::Train => {
            println!("{}checkpoint: {}", phase_table(&phase_seconds(view)), result.join("model.safetensors").display());
            Ok(Ending::Accepted)
        }
    }
}

fn conclude_audit(view: &AuditView, result: &Path, output: Format) -> anyhow::Result<Ending> {
    let report = read_report(result)?;
    match output {
        Format::Text => print!("{}", summary(&report, view, result)),
        Format::Json => println!(
            "{}",
            serde_json::to_string_pretty(&json!({
                "verdict": report.verdict,
                "headline": report.headline,
                "phases": phases_json(&phase_seconds(view)),
                "result": result,
            }))?
        ),
    }
    Ok(Ending::of(report.verdict))
}

/// The machine-readable report of a finished audit.
pub fn read_report(result: &Path) -> anyhow::Result<Report> {
    let path = result.join("report.json");
    let bytes = std::fs::read(&path).with_context(|| format!("the audit left no {}", path.display()))?;
    Ok(artifacts::decode("report.json", &bytes)?)
}

/// Phases as the demo's and the audit's JSON list them.
pub fn phases_json(phases: &[(String, f64)]) -> serde_json::Value {
    phases.iter().map(|(name, seconds)| json!({"name": name, "seconds": seconds})).collect()
}

fn summary(report: &Report, view: &AuditView, result: &Path) -> String {
    let attraction = (report.attraction_before.share, report.attraction_after.share);
    let retrieval = (report.retrieval_before.share, report.retrieval_after.share);
    let change = |(before, after): (f64, f64)| format!("{} before, {} after", percent(before), percent(after));
    let reasons: String = report.reasons.iter().map(|reason| format!("  {reason}\n")).collect();
    format!(
        "\n{}\n{reasons}\n  suspects             {}, {} to forget\n  residual attraction  {}\n  retrieval            {}\n\n{}\n  report: {}\n{}",
        report.headline,
        report.suspects,
        report.forget,
        change(attraction),
        change(retrieval),
        phase_table(&phase_seconds(view)),
        result.join("report.html").display(),
        recorded(result),
    )
}

/// To be noted: whoever changes the result later cannot change what somebody wrote down.
fn recorded(result: &Path) -> String {
    match verify::read(result) {
        Ok((_, digest)) => format!("  record: BLAKE3 {}; lethe verify {}\n", digest.to_hex(), result.display()),
        Err(_) => String::new(), // begun by a build that wrote none
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bf16_on_a_cpu_is_refused_before_anything_starts() {
        let mut spec: Spec = serde_json::from_value(json!({
            "audit": {"id": "a"}, "model": {"config": "c", "checkpoint": "m"}, "data": {"shards": ["0.tar"]},
        }))
        .expect("is a spec");
        assert!(refuse_slow(&spec, Devices::Cpu).is_ok());
        spec.unlearn.gang.precision = Precision::Bf16;
        let refused = refuse_slow(&spec, Devices::Cpu).expect_err("is refused").to_string();
        assert!(refused.contains("unlearn.gang.precision"), "{refused}");
        assert!(refuse_slow(&spec, Devices::Cuda).is_ok());
    }
}

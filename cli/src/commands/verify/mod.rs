//! `lethe verify`: whether a result, and what it came from, is what its record says.
//!
//! It must never change anything, nor call anything checked that it did not read again.

mod data;
mod files;
mod finding;
mod spec;
mod witness;

use std::path::Path;

use anyhow::{Context, bail};
use lethe_common::blob::Digest;
use lethe_common::record::{Code, RECORD, Record, VERSION};

use crate::arguments::{Format, Verify};
use crate::exit::{Ending, bad_input};

use finding::{Finding, State};

pub fn run(arguments: &Verify) -> anyhow::Result<Ending> {
    let (record, digest) = read(&arguments.result)?;
    let findings = findings(arguments, &record, digest)?;
    match arguments.output {
        Format::Text => print!("{}", findings.iter().map(Finding::line).collect::<String>()),
        Format::Json => println!("{:#}", serde_json::json!({"audit": record.audit, "findings": findings})),
    }
    match findings.iter().filter(|finding| finding.fails()).count() {
        0 => Ok(Ending::Accepted),
        failed => bail!("{failed} of {} things are not as the record says, or could not be checked", findings.len()),
    }
}

fn findings(arguments: &Verify, record: &Record, digest: Digest) -> anyhow::Result<Vec<Finding>> {
    let mut findings = witness::look(arguments, record, digest)?;
    // What lies in the folder itself vouches for nothing.
    let vouched = findings.iter().any(|finding| finding.asked && finding.state == State::Ok);
    findings.push(code(&record.code));
    findings.extend(spec::look(&arguments.result, arguments.spec.as_deref())?);
    findings.extend(record.model.iter().map(files::of_model));
    findings.extend(record.outputs.iter().map(|file| files::of_result(&arguments.result, file)));
    findings.extend(data::look(arguments, record, vouched)?);
    Ok(findings)
}

/// The record of a result folder, and the digest of its bytes.
pub fn read(result: &Path) -> anyhow::Result<(Record, Digest)> {
    let path = result.join(RECORD);
    let bytes = std::fs::read(&path).map_err(|e| {
        bad_input(format!("{}: {e}; a result has one once it is delivered; earlier builds wrote none", path.display()))
    })?;
    let digest = Digest::of(&bytes);
    let record: Record = serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no record any more: it was changed", path.display()))?;
    if record.version > VERSION {
        return Err(bad_input(format!(
            "{} is of form {}, and this build knows {VERSION}; use the release that wrote it, or a later one",
            path.display(),
            record.version
        )));
    }
    Ok((record, digest))
}

/// Whether this build would compute the same; the build that did cannot be looked at.
fn code(recorded: &Code) -> Finding {
    let own = lethe_coordinator::code::built();
    let told = |code: &Code| {
        let commit = code.commit.as_ref().map_or_else(String::new, |commit| format!(", commit {commit}"));
        format!("release {}{commit}, method {}", code.release, code.method)
    };
    let (what, recorded_as) = ("code", told(recorded));
    match recorded.method == own.method {
        true => Finding::new(what, State::Ok, format!("{recorded_as}: the method is this build's own")),
        false => Finding::new(what, State::NotChecked, format!("{recorded_as}; this build is {}", told(&own))),
    }
}

#[cfg(test)]
mod tests;

//! `lethe doctor`: what an audit needs of this machine and of a cluster, one line each.
//!
//! It must never change anything, nor stop at the first thing that is wrong.

mod cluster;
mod machine;

use anyhow::bail;
use serde::Serialize;

use crate::arguments::{self, Format};
use crate::exit::Ending;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    /// It works, and may not for long or not well.
    Warn,
    Fail,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok  ",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What one look showed; where it is not well, what to do.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Finding {
    what: String,
    verdict: Verdict,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

impl Finding {
    fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok, found: found.into(), advice: None }
    }

    fn warn(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Warn, found: found.into(), advice: Some(advice.into()) }
    }

    fn fail(what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, ..Self::warn(what, found, advice) }
    }

    fn line(&self) -> String {
        let advice = self.advice.as_ref().map(|advice| format!("; {advice}")).unwrap_or_default();
        format!("{}  {}: {}{advice}\n", self.verdict.word(), self.what, self.found)
    }
}

pub fn run(arguments: &arguments::Doctor) -> anyhow::Result<Ending> {
    let mut findings = machine::look(&arguments.work);
    findings.extend(cluster::look(&arguments.coordinator, arguments.tls.as_deref())?);
    match arguments.output {
        Format::Text => print!("{}", findings.iter().map(Finding::line).collect::<String>()),
        Format::Json => println!("{:#}", serde_json::to_value(&findings)?),
    }
    match findings.iter().filter(|finding| finding.verdict == Verdict::Fail).count() {
        0 => Ok(Ending::Accepted),
        failed => bail!("{failed} of {} checks failed", findings.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_found_and_what_to_do() {
        assert_eq!(Finding::ok("disk", "80 GiB free").line(), "ok    disk: 80 GiB free\n");
        let full = Finding::fail("disk", "1 MiB free", "free some");
        assert_eq!(full.line(), "fail  disk: 1 MiB free; free some\n");
        let json = serde_json::to_value(&full).expect("is JSON");
        assert_eq!(json["verdict"], "fail");
    }
}

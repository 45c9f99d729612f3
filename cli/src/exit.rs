//! How a command ends, as the exit code that scripts read.
//!
//! An error without a class of its own is a failure (1); only what the user can mend in his input is bad input (2), and only where the
//! same command may fare better later was somebody not reached (4).

use std::process::ExitCode;

use lethe_common::spec::SpecError;
use lethe_evidence::artifacts::Verdict;
use lethe_redteam::RedteamError;
use tonic::Code;

use crate::reach::CallError;
use crate::tell::Undelivered;

/// How a command ended, where nothing failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Done; an audit's result was accepted.
    Accepted,
    /// The audit ran, and its own acceptance test refused the result.
    Rejected,
    /// Stopped by Ctrl-C or SIGTERM.
    Interrupted,
}

impl Ending {
    /// What an audit's verdict makes of the command that waited for it.
    pub fn of(verdict: Verdict) -> Self {
        if verdict.is_accepted() { Self::Accepted } else { Self::Rejected }
    }
}

/// An argument or a file that cannot be used as given.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(pub String);

/// A [`BadInput`] as an error to return.
pub fn bad_input(message: impl Into<String>) -> anyhow::Error {
    BadInput(message.into()).into()
}

/// Prints an error, where there is one, and gives the process its code.
pub fn report(outcome: anyhow::Result<Ending>) -> ExitCode {
    if let Err(error) = &outcome {
        eprintln!("error: {}", told(error));
    }
    ExitCode::from(code(&outcome))
}

/// An error with its causes, but for those that the error before has told already.
fn told(error: &anyhow::Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        if parts.last().is_none_or(|effect| !effect.contains(&cause)) {
            parts.push(cause);
        }
    }
    parts.join(": ")
}

fn code(outcome: &anyhow::Result<Ending>) -> u8 {
    match outcome {
        Ok(Ending::Accepted) => 0,
        Ok(Ending::Rejected) => 3,
        Ok(Ending::Interrupted) => 130,
        Err(error) if error.chain().any(is_input) => 2,
        Err(error) if error.chain().any(is_passing) => 4,
        Err(_) => 1,
    }
}

fn is_input(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.is::<BadInput>() || cause.is::<SpecError>() || cause.is::<RedteamError>()
}

/// What else passes is tried again before it is told, and ends as no leader.
fn is_passing(cause: &(dyn std::error::Error + 'static)) -> bool {
    match cause.downcast_ref() {
        Some(CallError::NoLeader(_)) => true,
        Some(CallError::Refused(status)) => status.code() == Code::ResourceExhausted,
        None => cause.is::<Undelivered>(),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::*;

    #[test]
    fn no_cause_is_told_twice() {
        let cause = std::io::Error::from(std::io::ErrorKind::NotFound);
        let effect = SpecError::Read { path: "a.toml".into(), source: cause };
        let error = anyhow::Error::new(effect).context("audit");
        assert_eq!(told(&error), "audit: cannot read the spec a.toml: entity not found");
    }

    #[test]
    fn codes_tell_bad_input_from_failure() {
        let spec = || lethe_common::spec::load("/nonexistent/spec.toml".as_ref()).map(|_| Ending::Accepted);
        assert_eq!(code(&Ok(Ending::Accepted)), 0);
        assert_eq!(code(&Err(anyhow::anyhow!("a worker died"))), 1);
        assert_eq!(code(&spec().context("reading")), 2);
        assert_eq!(code(&Err(bad_input("no such folder")).context("planting")), 2);
        assert_eq!(code(&Ok(Ending::Rejected)), 3);
        let call = |error: CallError| code(&Err(anyhow::Error::new(error).context("submitting")));
        assert_eq!(call(CallError::NoLeader("tried for 20 s".to_owned())), 4);
        assert_eq!(call(CallError::Refused(tonic::Status::resource_exhausted("ann has too much under way"))), 4);
        assert_eq!(call(CallError::Refused(tonic::Status::not_found("there is no audit march"))), 1);
        assert_eq!(code(&Ok(Ending::Interrupted)), 130);
    }
}

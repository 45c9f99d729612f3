//! A place in a trace, as W3C's `traceparent` writes it: whose trace, and which span what follows belongs under.
//!
//! It must never draw an id for what outlives a process: an audit's and a phase's follow from the trace and their names, so
//! that whoever leads when they end knows them.

use std::fmt;
use std::str::FromStr;

use lethe_common::blob::Digest;
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trace {
    trace: TraceId,
    span: SpanId,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0:?} is no traceparent; expected such as 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
pub struct TraceError(String);

impl Trace {
    /// The header of a call that carries one.
    pub const HEADER: &'static str = "traceparent";

    /// A trace that begins here.
    pub fn begin() -> Self {
        let ids = RandomIdGenerator::default();
        Self { trace: ids.new_trace_id(), span: ids.new_span_id() }
    }

    /// A span of the same trace that this process begins and ends.
    pub fn child(self) -> Self {
        Self { span: RandomIdGenerator::default().new_span_id(), ..self }
    }

    /// The span of the same trace that has this name, whoever asks.
    pub fn named(self, name: &str) -> Self {
        let digest = Digest::of(&[&self.trace.to_bytes(), name.as_bytes()].concat());
        let bytes = digest.0.first_chunk().copied().unwrap_or([1; 8]);
        Self { span: SpanId::from_bytes(bytes), ..self }
    }

    /// The trace's id, in hexadecimal.
    pub fn id(self) -> String {
        self.trace.to_string()
    }

    pub(crate) fn span(self) -> SpanId {
        self.span
    }

    pub(crate) fn context(self) -> SpanContext {
        SpanContext::new(self.trace, self.span, TraceFlags::SAMPLED, false, TraceState::default())
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "00-{}-{}-01", self.trace, self.span)
    }
}

impl FromStr for Trace {
    type Err = TraceError;

    /// Later versions may append fields; those of version 00 are read. The flags do not count: what is asked to be told is told.
    fn from_str(text: &str) -> Result<Self, TraceError> {
        let wrong = || TraceError(text.chars().take(64).collect());
        let mut parts = text.trim().split('-');
        let (version, trace, span, flags) = (parts.next(), parts.next(), parts.next(), parts.next());
        hex(version, 2).filter(|version| *version != "ff").ok_or_else(wrong)?;
        hex(flags, 2).ok_or_else(wrong)?;
        let trace = hex(trace, 32).and_then(|text| TraceId::from_hex(text).ok()).ok_or_else(wrong)?;
        let span = hex(span, 16).and_then(|text| SpanId::from_hex(text).ok()).ok_or_else(wrong)?;
        if trace == TraceId::INVALID || span == SpanId::INVALID { Err(wrong()) } else { Ok(Self { trace, span }) }
    }
}

/// The part, where it is so many hexadecimal digits in lower case.
fn hex(part: Option<&str>, digits: usize) -> Option<&str> {
    part.filter(|part| part.len() == digits && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_comes_back_as_it_was() {
        let trace: Trace = EXAMPLE.parse().expect("is W3C's own example");
        assert_eq!(trace.to_string(), EXAMPLE);
        assert_eq!(trace.id(), "4bf92f3577b34da6a3ce929d0e0e4736");
    }

    #[test]
    fn what_is_no_traceparent_is_refused() {
        for bad in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
        ] {
            assert!(bad.parse::<Trace>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_named_span_is_the_same_for_every_process_and_another_in_another_trace() {
        let one: Trace = EXAMPLE.parse().expect("is one");
        let elsewhere: Trace = one.child().to_string().parse().expect("is one");
        assert_eq!(one.named("march/2"), elsewhere.named("march/2"));
        assert_ne!(one.named("march/2"), one.named("march/3"));
        assert_ne!(one.named("march/2").span(), Trace::begin().named("march/2").span());
    }
}

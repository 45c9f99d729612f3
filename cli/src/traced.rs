//! A command that begins an audit, as the first span of that audit's trace; nothing, where nobody collects spans.
//!
//! It must never fail a command, nor keep a person waiting for longer than a collector's last seconds.

use std::sync::OnceLock;
use std::time::SystemTime;

use lethe_telemetry::Trace;
use lethe_telemetry::spans::{Ended, Spans, SpansError};
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use crate::exit::Ending;

/// Of this process: it is one command.
static COMMAND: OnceLock<Traced> = OnceLock::new();

/// A command under way.
#[derive(Debug)]
pub struct Traced {
    collector: String,
    name: &'static str,
    at: Trace,
    began: SystemTime,
}

/// Begins the command's span, where there is a collector and the command has a name.
pub fn begin(collector: Option<&str>, name: Option<&'static str>) {
    let given = collector.filter(|collector| !collector.is_empty()).zip(name);
    if let Some((collector, name)) = given {
        let traced = Traced { collector: collector.to_owned(), name, at: Trace::begin(), began: SystemTime::now() };
        COMMAND.set(traced).expect("a process is one command");
    }
}

/// Where the processes that this command starts tell their spans.
pub fn collector() -> Option<&'static str> {
    COMMAND.get().map(|traced| traced.collector.as_str())
}

/// Puts a call within the command's span.
pub fn carry(metadata: &mut MetadataMap) {
    let header = COMMAND.get().and_then(|traced| AsciiMetadataValue::try_from(traced.at.to_string()).ok());
    header.into_iter().for_each(|value| drop(metadata.insert(Trace::HEADER, value)));
}

/// Tells the command's span.
pub fn end(outcome: &anyhow::Result<Ending>) {
    let Some(Traced { collector, name, at, began }) = COMMAND.get() else { return };
    let failed = match outcome {
        Ok(Ending::Accepted) => None,
        Ok(Ending::Rejected) => Some("rejected"),
        Ok(Ending::Interrupted) => Some("interrupted"),
        Err(_) => Some("failed"),
    };
    let ended = SystemTime::now();
    let span = Ended {
        at: *at,
        within: None,
        name: (*name).into(),
        began: *began,
        ended,
        facts: Vec::new(),
        failed,
        is_call: true,
    };
    if let Err(error) = tell(collector, span) {
        eprintln!("no span was told: {error}");
    }
}

fn tell(collector: &str, span: Ended) -> Result<(), TellError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let spans = Spans::to(Some(collector), "lethe", &std::process::id().to_string())?;
        spans.tell(span);
        spans.finish().await;
        Ok(())
    })
}

#[derive(Debug, thiserror::Error)]
enum TellError {
    #[error(transparent)]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Spans(#[from] SpansError),
}

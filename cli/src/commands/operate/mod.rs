//! What operators ask of a running coordinator, and what it answers.
//!
//! It must never keep state of its own, nor guess what the coordinator did not say.

mod control;
mod fetch;
mod ids;
mod marks;
mod open;
mod refusal;
mod rerun;
mod submit;
mod views;
mod watch;

pub use control::{Control, control};
pub use fetch::fetch;
pub use ids::ids;
pub use marks::{mark, marks};
pub use open::open;
pub use rerun::rerun;
pub use submit::submit;
pub use views::{cluster, list, show, workers};
pub use watch::watch;

use lethe_proto::v1::AuditView;
use serde_json::Value;

use crate::arguments::{Format, Remote};
use crate::reach::Coordinators;

/// Runs a command's questions on a thread of their own.
fn block_on<T>(remote: &Remote, ask: impl AsyncFnOnce(Coordinators) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { ask(Coordinators::new(&remote.coordinator, remote.tls.as_deref())?).await })
}

/// Prints an answer in the format asked for.
fn print(format: Format, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) {
    match format {
        Format::Text => print!("{}", text()),
        Format::Json => println!("{:#}", json()),
    }
}

/// The audit in an answer, which a coordinator never leaves out.
fn told(view: Option<AuditView>) -> anyhow::Result<AuditView> {
    view.ok_or_else(|| anyhow::anyhow!("the coordinator answered without the audit; is it of another release?"))
}

//! A re-run as calls and pages ask for it.
//!
//! It must never begin one that names places that are none of this coordinator's by now.

use lethe_common::ids::AuditId;
use lethe_common::spec::Spec;
use tonic::Status;

use super::faults;
use super::places::Places;
use super::seat::Lead;
use crate::driver::{self, Rerun};

/// # Errors
/// Why it cannot be; places may be others now than when the first audit was taken.
pub(crate) async fn rerun(lead: &Lead, places: &Places, rerun: Rerun) -> Result<driver::Status, Status> {
    match &rerun.spec {
        Some(spec) => places.check(spec).await?,
        None => places.check(&stored_spec(lead, &rerun.of).await?).await?,
    }
    lead.driver.rerun(rerun).await.map_err(faults::ask)?.map_err(faults::submit)
}

async fn stored_spec(lead: &Lead, audit: &AuditId) -> Result<Spec, Status> {
    let json = lead.driver.spec_json(audit.clone()).await.map_err(faults::ask)?;
    let json = json.ok_or_else(|| faults::unknown(audit))?;
    let unread = |e| Status::failed_precondition(format!("the spec of {audit} is not one this build reads: {e}"));
    serde_json::from_str(&json).map_err(unread)
}

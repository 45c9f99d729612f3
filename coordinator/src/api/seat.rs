//! Who answers calls: this coordinator while it leads, and nobody while another does.
//!
//! It must never let a call through to a driver whose reign is over.

use std::sync::Arc;
use std::time::Duration;

use lethe_common::blob::BlobStore;
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::Status;
use tonic::metadata::AsciiMetadataValue;

use crate::driver::DriverHandle;
use crate::rendezvous::Rendezvous;

/// Tells a caller where the leader is.
pub const LEADER_METADATA: &str = "lethe-leader";

/// What one reign needs to serve.
#[derive(Debug, Clone)]
pub struct Lead {
    pub driver: DriverHandle,
    pub rendezvous: Arc<Rendezvous>,
    pub blobs: BlobStore,
    pub term: u64,
}

/// ```text
///   Standby --elected--> Leading --deposed--> Standby
///      +--------------------+--shutdown--> Stopping
/// ```
#[derive(Debug, Clone)]
pub enum Standing {
    Standby { leader: Option<String> },
    Leading(Lead),
    Stopping,
}

/// How long a call is held while nobody is known to lead: an election, or a start over a large store, takes about
/// that long, and a caller would only come back.
const HOLD: Duration = Duration::from_secs(10);

/// The calls' view of it.
#[derive(Debug, Clone)]
pub struct Seat(pub watch::Receiver<Standing>);

impl Seat {
    /// # Errors
    /// UNAVAILABLE where another leads, with the leader's address as metadata where it is known.
    pub(crate) async fn lead(&self) -> Result<Lead, Status> {
        let mut standing = self.0.clone();
        let known = |standing: &Standing| match standing {
            Standing::Leading(_) | Standing::Stopping | Standing::Standby { leader: Some(_) } => true,
            Standing::Standby { leader: None } => false,
        };
        match timeout(HOLD, standing.wait_for(known)).await {
            Ok(Ok(standing)) => match &*standing {
                Standing::Leading(lead) => Ok(lead.clone()),
                Standing::Standby { leader } => Err(refusal(leader.as_deref())),
                Standing::Stopping => Err(Status::unavailable("this coordinator is stopping; try again or another")),
            },
            Ok(Err(_ended)) => Err(Status::unavailable("this coordinator has stopped; try again or another")),
            Err(_elapsed) => Err(refusal(None)),
        }
    }
}

fn refusal(leader: Option<&str>) -> Status {
    let Some(leader) = leader else {
        return Status::unavailable("this coordinator does not lead, and no other is known to; try again");
    };
    let mut status = Status::unavailable(format!("this coordinator does not lead; {leader} does"));
    if let Ok(value) = AsciiMetadataValue::try_from(leader) {
        status.metadata_mut().insert(LEADER_METADATA, value);
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_standby_says_who_leads_and_holds_calls_while_nobody_does() {
        let (standing, seat) = watch::channel(Standing::Standby { leader: Some("http://h:1".to_owned()) });
        let seat = Seat(seat);
        let status = seat.lead().await.expect_err("does not lead");
        assert_eq!(status.metadata().get(LEADER_METADATA).expect("is told"), "http://h:1");
        standing.send_replace(Standing::Standby { leader: None });
        let held = tokio::spawn(async move { seat.lead().await.expect_err("does not lead") });
        standing.send_replace(Standing::Stopping);
        assert!(held.await.expect("ends").message().contains("stopping"));
    }
}

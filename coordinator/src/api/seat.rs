//! Who answers calls: this coordinator while it leads, and nobody while another does.
//!
//! It must never let a call through to a driver whose reign is over.

use std::sync::Arc;

use lethe_common::blob::BlobStore;
use tokio::sync::watch;
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
///   Standby --elected--> Leading --deposed, resigned--> Standby
/// ```
#[derive(Debug, Clone)]
pub enum Standing {
    Standby { leader: Option<String> },
    Leading(Lead),
}

/// The calls' view of it.
#[derive(Debug, Clone)]
pub struct Seat(pub watch::Receiver<Standing>);

impl Seat {
    /// # Errors
    /// UNAVAILABLE where another leads, with the leader's address as metadata where it is known.
    pub(super) fn lead(&self) -> Result<Lead, Status> {
        match &*self.0.borrow() {
            Standing::Leading(lead) => Ok(lead.clone()),
            Standing::Standby { leader } => Err(refusal(leader.as_deref())),
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

    #[test]
    fn a_standby_says_who_leads() {
        let (standing, seat) = watch::channel(Standing::Standby { leader: Some("http://h:1".to_owned()) });
        let seat = Seat(seat);
        let status = seat.lead().err().expect("does not lead");
        assert_eq!(status.metadata().get(LEADER_METADATA).expect("is told"), "http://h:1");
        standing.send_replace(Standing::Standby { leader: None });
        assert!(seat.lead().err().expect("does not lead").metadata().get(LEADER_METADATA).is_none());
    }
}

//! What a shell completes an audit's id with.
//!
//! It must never say a word beside the ids, nor keep a person waiting.

use std::time::Duration;

use lethe_proto::v1::ListAuditsRequest;
use tokio::time::timeout;

use super::block_on;
use crate::arguments::Remote;
use crate::exit::Ending;
use crate::reach::Patience;

const DEADLINE: Duration = Duration::from_millis(1_500);

/// Whatever keeps the ids from coming is the matter of the command that is being written.
pub fn ids(remote: &Remote) -> anyhow::Result<Ending> {
    let listed = block_on(remote, async |mut coordinators| {
        let ask =
            coordinators.call(Patience::COMPLETION, async |mut client| client.list_audits(ListAuditsRequest {}).await);
        Ok(timeout(DEADLINE, ask).await??)
    });
    for view in listed.map(|reply| reply.audits).unwrap_or_default() {
        println!("{}", view.audit);
    }
    Ok(Ending::Accepted)
}

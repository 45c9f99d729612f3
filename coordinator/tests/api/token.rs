//! No call is served without the token.

use lethe_proto::v1;
use lethe_proto::v1::audits_client::AuditsClient;
use lethe_proto::v1::workers_client::WorkersClient;
use tonic::Code;

use crate::rig::{Rig, audit};

#[tokio::test]
async fn calls_without_the_token_are_refused_on_both_services() {
    let rig = Rig::calm().await;
    let mut audits = AuditsClient::new(rig.channel().await);
    let mut workers = WorkersClient::new(rig.channel().await);
    let cancel = v1::CancelAuditRequest { audit: audit().to_string(), by: String::new() };
    let refusals = [
        audits.cancel_audit(cancel).await.err(),
        workers.session(tokio_stream::empty::<v1::WorkerMessage>()).await.err(),
        workers.commit(v1::CommitRequest::default()).await.err(),
        workers.rendezvous_add(v1::RendezvousAddRequest::default()).await.err(),
    ];
    for refusal in refusals {
        assert_eq!(refusal.expect("is refused").code(), Code::Unauthenticated);
    }
    let look = v1::GetAuditRequest { audit: audit().to_string() };
    let view = rig.audits().await.get_audit(look).await.expect("is shown").into_inner().audit.expect("is there");
    assert_eq!(view.state(), v1::RunState::Running, "the refused cancel was obeyed");
}

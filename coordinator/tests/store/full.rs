//! An etcd that reaches its quota: what can be freed is freed, and what cannot is told.

use lethe_coordinator::store::{Batch, EtcdAddress, Outcome, Store, StoreError};
use lethe_servers::{EtcdCluster, EtcdOptions};

use crate::rig::{assert_applied, candidate, fence, raw, soon};

const QUOTA_BYTES: u64 = 8 << 20;
const VALUE_BYTES: usize = 512 << 10;

fn large(key: String) -> Batch {
    Batch { puts: vec![(key, vec![b'x'; VALUE_BYTES])], ..Batch::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_etcd_is_cleared_out_and_told_when_that_does_not_help() {
    let options = EtcdOptions { quota_backend_bytes: Some(QUOTA_BYTES), ..EtcdOptions::default() };
    let cluster = EtcdCluster::start(3, options).expect("starts");
    let store = Store::connect(&EtcdAddress::new(cluster.endpoints())).await.expect("connects");
    let reign = store.campaign(&candidate("a")).await.expect("elects");

    // Four times the quota through one key: all but the last value can be freed.
    let overwrites = 4 * QUOTA_BYTES / VALUE_BYTES as u64;
    for number in 1..=overwrites {
        assert_applied(soon("a commit", store.commit(fence(reign.term, number), &large("audit/a".to_owned()))).await);
    }
    let mut client = raw(&cluster.endpoints()).await;
    let old = etcd_client::GetOptions::new().with_revision(3);
    let gone = client.get("/lethe/audit/a", Some(old)).await.expect_err("the quota was not met");
    assert!(gone.to_string().contains("compacted"), "{gone}");

    // Keys that all stay: now it is full.
    let mut number = overwrites;
    let error = loop {
        number += 1;
        let batch = large(format!("audit/b/{number:03}"));
        match soon("a commit", store.commit(fence(reign.term, number), &batch)).await {
            Outcome::Applied => assert!(number < overwrites + 64, "the quota is not kept"),
            Outcome::Unknown(error) => break error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(&error, StoreError::NoSpace { size_bytes, .. } if *size_bytes > QUOTA_BYTES / 2), "{error}");
    assert!(error.to_string().contains("--quota-backend-bytes"), "{error}");
}

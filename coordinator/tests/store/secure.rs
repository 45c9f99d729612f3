//! A store on an etcd that speaks TLS and asks who is there.

use std::path::{Path, PathBuf};

use lethe_coordinator::store::{EtcdAddress, Store, StoreError};
use lethe_servers::{EtcdCluster, EtcdOptions};
use lethe_tls::authority::{Authority, Existing, Request};
use lethe_tls::{Identity, Outside, Role};

use crate::rig::{candidate, soon};

/// The folder of somebody's certificate by an authority of this name, which is made where it is not there.
fn issued(folder: &Path, authority: &str, name: &str) -> PathBuf {
    let place = folder.join(authority);
    let authority = match Authority::is_in(&place) {
        true => Authority::load(&place).expect("is there"),
        false => Authority::create(&place, 1).expect("is made"),
    };
    let identity = Identity::new(Role::Coordinator, name).expect("is a name");
    let own = place.join(name);
    let request = Request { identity, hosts: vec!["127.0.0.1".to_owned()], days: 1 };
    authority.issue(&request, &own, Existing::Keep).expect("issues");
    own
}

async fn opened(cluster: &EtcdCluster, folder: &Path) -> Result<Store, StoreError> {
    let address: EtcdAddress = cluster.endpoints()[0].replace("https://", "etcds://").parse().expect("is an address");
    let tls = Outside::load(folder).expect("reads");
    soon("the store", Store::connect(&address.with_tls(Some(tls))?)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_etcd_over_tls_serves_whom_its_authority_knows_and_nobody_else() {
    let folder = tempfile::tempdir().expect("makes a folder");
    let etcd = issued(folder.path(), "own", "etcd");
    let options = EtcdOptions { certificates: Some(etcd), unsafe_no_fsync: true, ..EtcdOptions::default() };
    let cluster = EtcdCluster::start(1, options).expect("starts");
    let own = issued(folder.path(), "own", "lethe-0");
    let store = opened(&cluster, &own).await.expect("opens");
    assert!(store.describe().ends_with("over TLS"), "{}", store.describe());
    let reign = soon("an election", store.campaign(&candidate("lethe-0"))).await.expect("is elected");
    reign.resign().await;

    // Of another authority, and of none.
    let other = issued(folder.path(), "other", "lethe-1");
    let anonymous = folder.path().join("anonymous");
    std::fs::create_dir(&anonymous).expect("makes a folder");
    std::fs::copy(own.join("ca.crt"), anonymous.join("ca.crt")).expect("copies");
    for stranger in [other, anonymous] {
        let error = opened(&cluster, &stranger).await.expect_err("is not served");
        assert!(matches!(error, StoreError::Deadline { .. }), "{}: {error}", stranger.display());
    }
    let plain = cluster.endpoints()[0].replace("https://", "etcd://").parse().expect("is an address");
    assert!(soon("a no", Store::connect(&plain)).await.is_err(), "in the clear");
}

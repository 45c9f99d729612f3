//! The store's promises, each checked on every store that makes it, and etcd's faults.
//!
//! It must never depend on timing alone: every wait is on a condition, with a deadline.

mod batches;
mod elections;
mod faults;
mod full;
mod proxy;
mod rig;
mod secure;

/// One named test for each check and store.
#[macro_export]
macro_rules! on_both {
    ($($check:ident)*) => {
        mod embedded {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check($crate::rig::Rig::embedded()).await;
            }
        )*}
        mod etcd {$(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                super::$check($crate::rig::Rig::etcd()).await;
            }
        )*}
    };
}

//! The store's own keys, which sort before every other.
//!
//! No batch may name one of them and no load shows one.

/// The schema's version, put by whoever opens an empty store.
pub(super) const SCHEMA: &str = "0/schema";
/// The term and the number of its last batch, a [`super::Fence`].
pub(super) const TERM: &str = "1/term";
/// Who leads now; in etcd it ends with its lease.
pub(super) const LEADER: &str = "2/leader";
/// Who was elected last; only an election writes it.
pub(super) const ELECTED: &str = "2/elected";

/// Everything below the first letter is ours, the empty key with it.
pub(super) fn is_own(key: &str) -> bool {
    key.is_empty() || ["0", "1", "2"].contains(&key.split('/').next().unwrap_or_default())
}

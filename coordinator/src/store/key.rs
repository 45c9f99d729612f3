//! Where a record lies, as text whose order is the order of audits, phases and segments.
//!
//! It must never lose a distinction: two record keys never share a text.

use lethe_common::ids::AuditId;
use lethe_engine::RecordKey;

/// Every record's key begins with this.
const RECORDS: &str = "audit/";

/// An audit's id holds no '/', so that all keys of one audit lie together.
pub(super) fn encode(key: &RecordKey) -> String {
    match key {
        RecordKey::Audit(audit) => format!("{RECORDS}{audit}/0"),
        RecordKey::Phase(audit, phase) => format!("{RECORDS}{audit}/phase/{:05}", phase.0),
        RecordKey::Segment(audit, phase, segment) => {
            format!("{RECORDS}{audit}/phase/{:05}/segment/{segment:07}", phase.0)
        }
    }
}

/// What the keys of all of an audit's records begin with, and no other's.
pub(super) fn all_of(audit: &AuditId) -> String {
    format!("{RECORDS}{audit}/")
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::PhaseIndex;

    use super::*;
    use crate::store::own::{SCHEMA, is_own};

    #[test]
    fn keys_sort_as_audits_phases_and_segments_and_the_schema_comes_first() {
        let a = AuditId::new("a").expect("is an id");
        let b = AuditId::new("a.b").expect("is an id");
        let keys = [
            RecordKey::Audit(a.clone()),
            RecordKey::Phase(a.clone(), PhaseIndex(2)),
            RecordKey::Segment(a.clone(), PhaseIndex(2), 9),
            RecordKey::Segment(a.clone(), PhaseIndex(2), 10),
            RecordKey::Phase(a, PhaseIndex(10)),
        ]
        .map(|key| encode(&key));
        assert!(keys.is_sorted(), "{keys:?}");
        let other = encode(&RecordKey::Audit(b));
        assert!(other < keys[0] || other > keys[4], "{other} lies among {keys:?}");
        assert!(keys.iter().all(|key| SCHEMA < key.as_str() && !is_own(key)));
    }
}

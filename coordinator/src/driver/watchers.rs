//! Who watches which audit. Changes are gathered, so that a busy audit does not flood its watchers.
//!
//! It must never hold an audit in memory that nobody watches.

use std::collections::BTreeMap;

use lethe_common::ids::AuditId;
use tokio::sync::watch;

use super::status::Status;

#[derive(Debug, Default)]
pub(super) struct Watchers {
    by_audit: BTreeMap<AuditId, watch::Sender<Status>>,
    changed: bool,
}

impl Watchers {
    /// Something may look different now.
    pub fn mark(&mut self) {
        self.changed = true;
    }

    /// Whether something changed since this was last asked.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// A watch that begins with `status`.
    pub fn watch(&mut self, status: Status) -> watch::Receiver<Status> {
        let audit = status.view.audit.clone();
        let sender = self.by_audit.entry(audit).or_insert_with(|| watch::Sender::new(status.clone()));
        show(sender, status);
        sender.subscribe()
    }

    /// Shows every watched audit as `look` sees it; audits without a watcher are let go.
    pub fn publish(&mut self, look: impl Fn(&AuditId) -> Option<Status>) {
        self.by_audit.retain(|_, sender| !sender.is_closed());
        for (audit, sender) in &self.by_audit {
            if let Some(status) = look(audit) {
                show(sender, status);
            }
        }
    }
}

fn show(sender: &watch::Sender<Status>, status: Status) {
    sender.send_if_modified(|shown| {
        let differs = *shown != status;
        *shown = status;
        differs
    });
}

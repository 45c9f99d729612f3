//! An operation that was started and not yet waited for.

use std::fmt;

use crate::error::CollectiveError;

/// A started operation. Wait for it, in the order in which operations were started.
///
/// Dropping it waits too, at most the group's time-out, and forgets the outcome: once it is gone nobody writes to
/// its tensor any more, and it keeps no socket open. One that outlives its group was ended with the group.
#[must_use = "the sum is there only after wait"]
pub struct Pending {
    end: Box<dyn FnOnce() -> Result<(), CollectiveError> + Send>,
}

impl Pending {
    /// Ends with what `end` returns; dropping `end` uncalled must end the operation all the same.
    pub(crate) fn new(end: impl FnOnce() -> Result<(), CollectiveError> + Send + 'static) -> Self {
        Self { end: Box::new(end) }
    }

    /// Returns when the operation ended or the group's time-out passed. After an error every other operation in
    /// flight fails too, at once.
    pub fn wait(self) -> Result<(), CollectiveError> {
        (self.end)()
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

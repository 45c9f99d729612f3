//! What a person makes of an audit's suspects: who they are, and the marks that say poison or clean.
//!
//! It must never decide what follows from a mark: that is `select`'s, in a re-run.

mod flights;
mod keep;
mod marks;
mod next;
mod shelf;
mod suspects;

pub(crate) use flights::Flights;
pub use keep::{MarkError, Saying, mark, marks_of};
pub use marks::{Change, Judgement, Mark, Marks};
pub use next::next_free;
pub use shelf::{Group, Membership, Region, Reviewed, Shelf};
pub use suspects::{Suspects, SuspectsError};

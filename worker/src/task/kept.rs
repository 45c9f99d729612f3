//! What tasks of one phase share and is dear to make: models, the calibration. Kept in the executor from one task to the next.
//!
//! It must never show in a result: what is kept is what would be made again. Nor may it outlive its phase, whose successors
//! need the memory.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use lethe_common::fault::Fault;
use lethe_common::ids::TaskId;

use super::gang::Owner;

/// Of one phase of one audit, by name.
#[derive(Default)]
pub struct Kept {
    owner: Option<Owner>,
    things: RefCell<BTreeMap<&'static str, Rc<dyn Any>>>,
}

impl Kept {
    /// What an earlier task of the phase made under this name, or else what is made now. A name stands for one type.
    ///
    /// # Errors
    /// It could not be made; the next task tries again.
    pub fn get<T: 'static>(&self, name: &'static str, make: impl FnOnce() -> Result<T, Fault>) -> Result<Rc<T>, Fault> {
        let known = self.things.borrow().get(name).cloned();
        if let Some(known) = known.and_then(|thing| thing.downcast().ok()) {
            return Ok(known);
        }
        let made = Rc::new(make()?);
        self.things.borrow_mut().insert(name, Rc::clone(&made) as Rc<dyn Any>);
        Ok(made)
    }

    /// Forgets what belongs to another audit or phase than this task's.
    pub(crate) fn enter(&mut self, task: &TaskId, spec_json: &str) {
        let owner = Owner::of(task, spec_json);
        if self.owner.as_ref() != Some(&owner) {
            *self = Self { owner: Some(owner), things: RefCell::default() };
        }
    }

    pub(crate) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use lethe_common::ids::PhaseIndex;

    use super::*;
    use crate::task::sample_id;

    #[test]
    fn a_thing_is_made_once_a_phase() {
        let made = RefCell::new(0);
        let get = |kept: &Kept| {
            let make = || {
                *made.borrow_mut() += 1;
                Ok(*made.borrow())
            };
            *kept.get("model", make).expect("is made")
        };
        let mut kept = Kept::default();
        kept.enter(&sample_id(1), "{}");
        assert!(kept.get::<i32>("model", || Err(Fault::retryable("out of luck"))).is_err());
        assert_eq!([get(&kept), get(&kept)], [1, 1], "once, after the try that failed");
        kept.enter(&sample_id(2), "{}");
        assert_eq!(get(&kept), 1, "for the next task too");
        kept.enter(&TaskId { phase: PhaseIndex(3), ..sample_id(2) }, "{}");
        assert_eq!(get(&kept), 2, "another phase");
        kept.enter(&TaskId { phase: PhaseIndex(3), ..sample_id(2) }, r#"{"audit": 2}"#);
        assert_eq!(get(&kept), 3, "another audit of the same name");
        kept.forget();
        assert_eq!(get(&kept), 4, "it was let go");
    }
}

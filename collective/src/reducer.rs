//! The ranks' gradients in one flat buffer, summed bucket by bucket while backward still runs.
//!
//! Backward finds the gradients of the last layers first; what it has found is on the wire while it goes on. All ranks
//! must sum the same buckets in one order, which backward's own may not be: the first sum shows the order in which
//! buckets become complete, and rank 0's holds for all from then on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tch::{TchError, Tensor};

use crate::error::CollectiveError;
use crate::hooks::{Collector, Hooks};
use crate::pending::Pending;
use crate::seam::Collective;

const COLLECT: &str = "collect gradients";

/// Why there is no sum.
#[derive(Debug, thiserror::Error)]
pub enum Broken<E> {
    /// The caller's own backward failed.
    #[error(transparent)]
    Backward(E),
    #[error(transparent)]
    Collective(CollectiveError),
}

/// Watches leaves, which are a model's parameters in the order of its flat buffer. Other backwards that reach the
/// leaves must not run beside [`Self::add`] and [`Self::sum`], and what runs in one of these reaches a leaf once.
///
/// After an error it is of no more use, as the group is. Drop the group first: it ends what is in flight at once.
pub struct Reducer {
    hooks: Hooks<Shared>,
    /// `[sum of the leaves' lengths]`, in their kind.
    gradient: Tensor,
}

impl Reducer {
    /// Leaves of one kind on one device, at least one; the same ones on every rank. A bucket is closed once it has
    /// `bucket_bytes`.
    pub fn new(leaves: &[&Tensor], bucket_bytes: usize) -> Result<Self, CollectiveError> {
        let total = leaves.iter().map(|leaf| leaf.numel() as i64).sum::<i64>();
        let options = leaves.first().map(|leaf| (leaf.kind(), leaf.device())).ok_or_else(|| other("no leaves"))?;
        let gradient = Tensor::f_zeros([total], options).map_err(torch)?;
        let state = State::new(leaves, &gradient, bucket_bytes).map_err(torch)?;
        Ok(Self { hooks: Hooks::place(leaves, Shared(Mutex::new(state)))?, gradient })
    }

    /// Adds what `backward` finds to this rank's gradient.
    pub fn add<E>(&mut self, backward: impl FnOnce() -> Result<(), E>) -> Result<(), Broken<E>> {
        self.pass(None, backward)
    }

    /// Adds what `backward` finds and sums over the ranks, as it is found. The sum is the same on every rank, a handle on
    /// the flat buffer, which holds until the next call; zero where no backward came.
    pub fn sum<E>(
        &mut self,
        group: &dyn Collective,
        backward: impl FnOnce() -> Result<(), E>,
    ) -> Result<Tensor, Broken<E>> {
        self.pass(Some(group), backward)?;
        let mut state = self.hooks.collector().state();
        state.finish(group).map_err(Broken::Collective)?;
        Ok(self.gradient.shallow_clone())
    }

    fn pass<E>(
        &mut self,
        group: Option<&dyn Collective>,
        backward: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), Broken<E>> {
        let shared = self.hooks.collector();
        shared.state().begin(group);
        let lent = Lent(shared);
        let outcome = backward();
        drop(lent);
        let mut state = shared.state();
        // Where a hook failed, backward's own error says only that it did.
        state.failure.take().map_or(Ok(()), |failure| Err(Broken::Collective(failure)))?;
        outcome.map_err(Broken::Backward)?;
        state.end().map_err(|error| Broken::Collective(torch(error)))
    }
}

/// Takes the group back, also where backward panics.
struct Lent<'a>(&'a Shared);

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        self.0.state().group = None;
    }
}

struct Shared(Mutex<State>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Shared {
    fn ready(&self, leaf: usize, gradient: &Tensor) -> Option<Tensor> {
        let mut state = self.state();
        match state.take(leaf, gradient) {
            Ok(slot) => Some(slot),
            Err(failure) => {
                state.failure.get_or_insert(failure);
                None
            }
        }
    }
}

/// The group for as long as backward runs.
struct Borrowed(*const dyn Collective);

// SAFETY: `pass` has the group borrowed and waits in backward, so only one thread at a time uses it; the mutex around
// it orders them.
unsafe impl Send for Borrowed {}

struct State {
    /// Each leaf's part of the flat buffer, in its shape.
    slots: Vec<Tensor>,
    bucket_of: Vec<usize>,
    /// Slices of the flat buffer that follow each other.
    buckets: Vec<Bucket>,
    /// How buckets are summed, once all ranks agreed on it.
    order: Option<Vec<usize>>,
    /// Whether the buffer holds gradients already.
    is_begun: bool,
    group: Option<Borrowed>,
    reached: Vec<bool>,
    /// Buckets in the order in which this backward completed them.
    complete: Vec<usize>,
    in_flight: Vec<Pending>,
    failure: Option<CollectiveError>,
}

struct Bucket {
    slice: Tensor,
    leaves: usize,
    /// Those that this backward did not come to yet.
    missing: usize,
}

impl State {
    fn new(leaves: &[&Tensor], gradient: &Tensor, bucket_bytes: usize) -> Result<Self, TchError> {
        let (mut slots, mut bucket_of, mut lengths) = (Vec::new(), Vec::new(), Vec::<(i64, usize)>::new());
        let (mut start, size) = (0, gradient.kind().elt_size_in_bytes());
        for leaf in leaves {
            let length = leaf.numel() as i64;
            slots.push(gradient.f_narrow(0, start, length)?.f_view_as(leaf)?);
            start += length;
            match lengths.last_mut().filter(|(filled, _)| (*filled as usize) * size < bucket_bytes) {
                Some(last) => *last = (last.0 + length, last.1 + 1),
                None => lengths.push((length, 1)),
            }
            bucket_of.push(lengths.len() - 1);
        }
        let (mut buckets, mut start) = (Vec::new(), 0);
        for (length, leaves) in lengths {
            buckets.push(Bucket { slice: gradient.f_narrow(0, start, length)?, leaves, missing: 0 });
            start += length;
        }
        let reached = vec![false; slots.len()];
        Ok(Self {
            slots,
            bucket_of,
            buckets,
            order: None,
            is_begun: false,
            group: None,
            reached,
            complete: Vec::new(),
            in_flight: Vec::new(),
            failure: None,
        })
    }

    fn begin(&mut self, group: Option<&dyn Collective>) {
        // SAFETY: only the lifetime is dropped; `Lent` takes the pointer back before the borrow ends.
        self.group = group
            .map(|group| Borrowed(unsafe { std::mem::transmute::<&dyn Collective, &'static dyn Collective>(group) }));
        self.reached.fill(false);
        self.complete.clear();
        self.buckets.iter_mut().for_each(|bucket| bucket.missing = bucket.leaves);
    }

    /// A leaf's gradient into its slot, and on the wire what that completes.
    fn take(&mut self, leaf: usize, gradient: &Tensor) -> Result<Tensor, CollectiveError> {
        if std::mem::replace(&mut self.reached[leaf], true) {
            return Err(other("a leaf was reached twice, and its sum may be on the wire"));
        }
        let mut slot = self.slots[leaf].shallow_clone();
        let _ = match self.is_begun {
            true => slot.f_add_(gradient).map_err(torch)?,
            false => {
                slot.f_copy_(gradient).map_err(torch)?;
                slot.shallow_clone()
            }
        };
        let bucket = self.bucket_of[leaf];
        self.buckets[bucket].missing -= 1;
        if self.buckets[bucket].missing == 0 {
            self.complete.push(bucket);
            self.launch()?;
        }
        Ok(slot)
    }

    /// Starts the sums of those buckets that are complete, as far as the order allows.
    fn launch(&mut self) -> Result<(), CollectiveError> {
        let (Some(order), Some(Borrowed(group))) = (&self.order, &self.group) else { return Ok(()) };
        while let Some(&next) = order.get(self.in_flight.len()).filter(|next| self.buckets[**next].missing == 0) {
            // SAFETY: `pass` has it borrowed until it takes it back.
            let group = unsafe { &**group };
            self.in_flight.push(group.start_all_reduce_sum(&mut self.buckets[next].slice)?);
        }
        Ok(())
    }

    /// After a backward: what it did not reach stays as it was, and that is zero where nothing came before.
    fn end(&mut self) -> Result<(), TchError> {
        let unreached = self.reached.iter().zip(&mut self.slots).filter(|(reached, _)| !self.is_begun && !**reached);
        for (_, slot) in unreached {
            let _ = slot.f_zero_()?;
        }
        self.is_begun = true;
        Ok(())
    }

    /// Starts what is left, and waits for all.
    fn finish(&mut self, group: &dyn Collective) -> Result<(), CollectiveError> {
        let order = self.order.clone().unwrap_or_else(|| (0..self.buckets.len()).collect());
        for &bucket in &order[self.in_flight.len()..] {
            self.in_flight.push(group.start_all_reduce_sum(&mut self.buckets[bucket].slice)?);
        }
        for pending in self.in_flight.drain(..) {
            pending.wait()?;
        }
        self.is_begun = false;
        if self.order.is_none() {
            self.order = Some(agree(&self.completed(), group)?);
        }
        Ok(())
    }

    /// Every bucket, in the order of completion; those that never were come last.
    fn completed(&self) -> Vec<i64> {
        let rest = (0..self.buckets.len()).filter(|bucket| self.buckets[*bucket].missing > 0);
        self.complete.iter().copied().chain(rest).map(|bucket| bucket as i64).collect()
    }
}

/// Rank 0's order.
fn agree(own: &[i64], group: &dyn Collective) -> Result<Vec<usize>, CollectiveError> {
    let mut order = Tensor::from_slice(own).to_device(group.device());
    group.broadcast(&mut order, 0)?;
    let order = Vec::<i64>::try_from(&order).map_err(torch)?;
    Ok(order.into_iter().map(|bucket| bucket as usize).collect())
}

fn torch(error: TchError) -> CollectiveError {
    other(&error.to_string())
}

fn other(detail: &str) -> CollectiveError {
    CollectiveError::Other { operation: COLLECT, detail: detail.lines().next().unwrap_or_default().to_owned() }
}

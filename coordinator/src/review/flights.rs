//! What is being read for somebody, so that others who want the same wait for it.
//!
//! It must never stop because whoever asked first went away: what takes longer than a browser waits is there when it asks again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use tokio::sync::oneshot;

type Flight<T> = Shared<BoxFuture<'static, Option<T>>>;

/// Reads under way, by what they read.
#[derive(Debug)]
pub(crate) struct Flights<K, T>(Arc<Mutex<BTreeMap<K, Flight<T>>>>);

impl<K, T> Clone for Flights<K, T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K, T> Default for Flights<K, T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K, T> Flights<K, T>
where
    K: Ord + Clone + Send + 'static,
    T: Clone + Send + Sync + 'static,
{
    /// The end of the read under this name that is under way, or of a new one. Nothing where it panicked.
    pub async fn join<R>(&self, name: K, read: impl FnOnce() -> R) -> Option<T>
    where
        R: Future<Output = T> + Send + 'static,
    {
        self.board(name, read).await
    }

    fn board<R>(&self, name: K, read: impl FnOnce() -> R) -> Flight<T>
    where
        R: Future<Output = T> + Send + 'static,
    {
        let (landed, lands) = oneshot::channel();
        let flight = async { lands.await.ok() }.boxed().shared();
        {
            let mut flights = self.lock();
            if let Some(flight) = flights.get(&name) {
                return flight.clone();
            }
            flights.insert(name.clone(), flight.clone());
        }
        let landing = Landing { flights: self.clone(), name };
        let read = read();
        tokio::spawn(async move {
            // A read that panics takes what would have told its end with it.
            let read = read.await;
            drop(landing);
            landed.send(read).ok(); // everybody may have left
        });
        flight
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<K, Flight<T>>> {
        lock(&self.0)
    }
}

fn lock<K, T>(flights: &Mutex<BTreeMap<K, Flight<T>>>) -> MutexGuard<'_, BTreeMap<K, Flight<T>>> {
    // Each step leaves it whole.
    flights.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes a read off the board when it is over.
struct Landing<K: Ord, T> {
    flights: Flights<K, T>,
    name: K,
}

impl<K: Ord, T> Drop for Landing<K, T> {
    fn drop(&mut self) {
        lock(&self.flights.0).remove(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    #[derive(Clone, Default)]
    struct Slow {
        begun: Arc<AtomicU32>,
        go: Arc<Notify>,
    }

    impl Slow {
        async fn read(self) -> u32 {
            let turn = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            self.go.notified().await;
            turn
        }
    }

    #[tokio::test]
    async fn who_wants_the_same_waits_for_one_read_that_nobody_can_drop() {
        let (flights, slow) = (Flights::default(), Slow::default());
        let first = flights.board("a", || slow.clone().read());
        let second = flights.board("a", || slow.clone().read());
        drop(first);
        slow.go.notify_one();
        assert_eq!(second.await, Some(1));
        let third = flights.board("a", || slow.clone().read());
        slow.go.notify_one();
        assert_eq!(third.await, Some(2), "a read that is over is not given again");
    }

    #[tokio::test]
    async fn a_read_that_panics_is_over() {
        let flights = Flights::<&str, u32>::default();
        assert_eq!(flights.join("a", || async { panic!("on purpose") }).await, None);
        assert_eq!(flights.join("a", || async { 7 }).await, Some(7));
    }
}

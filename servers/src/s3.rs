//! A server on loopback that speaks as much of S3 as readers need, and fails as real ones do when it is told to. Open, it also
//! answers what Google's and Azure's clients ask.
//!
//! It must never answer a request that is not signed with the secret it was started with (unless it is open), so that a
//! reader that forgets to sign is noticed.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

mod answer;
mod listing;
mod request;
mod signature;

/// What is served, and to whom.
#[derive(Debug, Clone)]
pub struct S3Options {
    pub bucket: String,
    /// Key and secret; none for a server that asks for no signature.
    pub credentials: Option<(String, String)>,
}

/// How it fails. Nothing by default.
#[derive(Debug, Clone, Copy, Default)]
pub struct S3Faults {
    /// One request in so many is answered 503 SlowDown or 429, in turns.
    pub throttle_one_in: Option<u64>,
    /// Every body is cut after so many bytes, and the connection with it.
    pub cut_after_bytes: Option<usize>,
    /// Before each piece of a body.
    pub pause: Option<Duration>,
    /// The next GETs are answered with a redirect to this address.
    pub redirect: Option<&'static str>,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct S3Counts {
    pub requests: u64,
    pub throttled: u64,
    pub cut: u64,
    /// Requests that were not signed, or not with the secret.
    pub denied: u64,
    /// GETs of a range.
    pub ranges: u64,
    pub lists: u64,
}

/// Dropping it ends it.
#[derive(Debug)]
pub struct S3Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    options: S3Options,
    state: Mutex<State>,
    ended: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Arc<Vec<u8>>>,
    faults: S3Faults,
    counts: S3Counts,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl S3Server {
    /// Listens on a free port of loopback.
    ///
    /// # Errors
    /// Nothing can be listened on.
    pub fn start(options: S3Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared { options, state: Mutex::default(), ended: AtomicBool::new(false) });
        let thread = std::thread::spawn({
            let shared = shared.clone();
            move || accept(&listener, &shared)
        });
        Ok(Self { address, shared, thread: Some(thread) })
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn put(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        self.shared.state().objects.insert(key.to_owned(), Arc::new(bytes.into()));
    }

    pub fn remove(&self, key: &str) {
        self.shared.state().objects.remove(key);
    }

    pub fn set_faults(&self, faults: S3Faults) {
        self.shared.state().faults = faults;
    }

    pub fn counts(&self) -> S3Counts {
        self.shared.state().counts
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes the thread
        if let Some(thread) = self.thread.take() {
            drop(thread.join()); // it holds nothing that a panic could break
        }
    }
}

/// Each connection has a thread, which ends with it.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let shared = shared.clone();
        std::thread::spawn(move || {
            // A client that goes away is no fault of the server.
            drop(answer::serve(stream, &shared));
        });
    }
}

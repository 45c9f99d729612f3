//! The threads on which requests run, whoever waits for them.
//!
//! It must never be waited for without end: what is spawned here has its own deadlines.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::mpsc::sync_channel;

use tokio::runtime::{Builder, Runtime};

/// Requests wait far more than they compute; two threads keep one busy handshake from stopping the others.
const THREADS: usize = 2;

pub(crate) fn spawn<F>(future: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    let runtime = RUNTIME.get_or_init(|| {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("lethe-source").enable_all();
        builder.build().expect("a process that cannot start two threads can do nothing here")
    });
    drop(runtime.spawn(future));
}

/// Begins now; whoever calls the result waits.
pub(crate) fn start<F>(future: F) -> impl FnOnce() -> F::Output + Send
where
    F: Future<Output: Send> + Send + 'static,
{
    let (answer, answered) = sync_channel(1);
    spawn(async move {
        let output = future.await;
        drop(answer.send(output)); // nobody may wait any more
    });
    move || answered.recv().expect("a request that panics is a bug")
}

/// Waits for a future, from any thread but an async one.
pub(crate) fn wait<F>(future: F) -> F::Output
where
    F: Future<Output: Send> + Send + 'static,
{
    start(future)()
}

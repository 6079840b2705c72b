//! Where the library's own tasks run.

use hyper::rt::Executor;
use tokio::task::spawn_local;

/// On the worker's thread: nothing here may leave it.
#[derive(Debug, Clone, Copy)]
pub struct OnThisThread;

impl<F: Future + 'static> Executor<F> for OnThisThread {
    fn execute(&self, future: F) {
        spawn_local(async move { drop(future.await) });
    }
}

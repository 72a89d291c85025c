//! A thread for the watches that look at files: where a file system stops answering, they hang, and the loop goes on.

use std::future::pending;
use std::pin::Pin;
use std::sync::{LazyLock, mpsc};
use std::thread;
use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

/// Lets a watch run there.
pub fn spawn(watch: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    static THREAD: LazyLock<Option<Handle>> = LazyLock::new(start);
    // As one type: each type of its own would take kilobytes of the program.
    let watch: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(watch);
    match &*THREAD {
        Some(handle) => handle.spawn(watch),
        // Without a thread the loop has to do it.
        None => tokio::spawn(watch),
    }
}

/// Starts the thread, which ends with the program.
fn start() -> Option<Handle> {
    let (sender, handle) = mpsc::channel();
    let thread = thread::Builder::new().name("files".to_owned());
    let started = thread.spawn(move || {
        if let Ok(runtime) = Builder::new_current_thread().enable_all().build() {
            let _ = sender.send(runtime.handle().clone());
            runtime.block_on(pending::<()>());
        }
    });
    started.ok()?;
    handle.recv().ok()
}

//! Work that may never come back: a file system over the network can stop answering, and whoever asks it then waits in the kernel,
//! where nothing reaches him. Such work has a thread of its own, and only so long is waited for it.
//!
//! docs/design/outage.md explains the design.

use super::own_time;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// How long a look at a file is waited for by who has other things to do: far beyond what a busy file server needs.
pub const LOOK: Duration = Duration::from_secs(2);

/// Pieces of work that took longer than they were waited for, and have not come back.
static LATE: AtomicUsize = AtomicUsize::new(0);

/// Does `work` and tells what came of it; `None` when that takes longer than `limit`. While an earlier piece of work has not come
/// back nothing more is tried: it would only wait behind it.
pub fn within<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if LATE.load(Ordering::SeqCst) > 0 {
        return None;
    }
    insist(limit, work)
}

/// The same for what must be tried whatever else hangs.
pub fn insist<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let result = Arc::new(Mutex::new(None));
    let place = Arc::clone(&result);
    let done = done_within(
        limit,
        Box::new(move || {
            let told = work();
            if let Ok(mut place) = place.lock() {
                *place = Some(told);
            }
        }),
    );
    done.then(|| result.lock().ok()?.take()).flatten()
}

/// Does it on a thread, and tells whether it was done in time.
fn done_within(limit: Duration, work: Box<dyn FnOnce() + Send>) -> bool {
    // Without room for a message: it is either taken or refused.
    let (sender, done) = mpsc::sync_channel(0);
    let thread = thread::Builder::new().spawn(move || {
        work();
        // Nobody listens any more: then it was counted as late.
        if sender.send(()).is_err() {
            LATE.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let told = own_time::receive(&done, limit);
    if thread.is_ok() && told == Err(RecvTimeoutError::Timeout) {
        // While the receiver is there, so that who comes back later always finds itself counted.
        LATE.fetch_add(1, Ordering::SeqCst);
    }
    told.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_come_back_is_not_waited_for_and_later_work_is() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let (go_on, waits) = mpsc::channel::<()>();
        let hangs = within(Duration::from_millis(10), move || waits.recv());
        assert!(hangs.is_none());
        assert!(within(Duration::from_secs(60), || 7).is_none(), "behind it");
        drop(go_on);
        while within(Duration::from_secs(60), || 7).is_none() {
            thread::yield_now();
        }
    }
}

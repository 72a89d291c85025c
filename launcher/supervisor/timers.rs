//! Time as notices. No jump of the wall clock changes anything: limits count the time in which this program ran ([`own_time`]), and what
//! goes on without us counts on the kernel's monotonic clock.

use super::notice::{Notice, Sender};
use crate::here::os::own_time;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval_at, sleep};

/// Sends a notice once, after a while.
pub fn once(after: Duration, notice: Notice, sender: Sender) {
    tokio::spawn(async move {
        own_time::sleep(after).await;
        let _ = sender.send(notice);
    });
}

/// The same for what goes on while we stand still: the job's time.
pub fn once_in_the_world(after: Duration, notice: Notice, sender: Sender) {
    tokio::spawn(async move {
        sleep(after).await;
        let _ = sender.send(notice);
    });
}

/// Sends [`Notice::Refresh`] again and again; after a pause of the whole program (SIGSTOP) once, not as often as was missed.
pub fn refresh(period: Duration, sender: Sender) {
    tokio::spawn(async move {
        let mut ticks = interval_at(tokio::time::Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if sender.send(Notice::Refresh).is_err() {
                return;
            }
        }
    });
}

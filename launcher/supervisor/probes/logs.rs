//! No service can fill its user's quota by what it writes into its log.

use super::CALM_PAUSE;
use crate::here::os::log;
use crate::here::os::own_time::next_round;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// Bytes of all logs of a job together.
pub const TOTAL: u64 = 512 * 1024 * 1024;

/// Between two looks while logs grow fast.
const PAUSE: Duration = Duration::from_millis(200);

/// What grows by such a part of that in a calm pause grows fast.
const FAST: u64 = 32;

/// Keeps all logs that are opened here within `total` bytes as long as the job lives; tells of each once.
pub fn watch(total: u64, sender: Sender) {
    file_thread::spawn(async move {
        let mut told = BTreeSet::new();
        let mut before = 0;
        while !sender.is_closed() {
            let look = log::keep_within(total);
            let fast = !look.cut.is_empty() || look.length.saturating_sub(before) > total / FAST;
            before = look.length;
            for path in look.cut {
                if told.insert(path.clone()) {
                    let _ = sender.send(Notice::LogCut(path));
                }
            }
            sleep(if fast { PAUSE } else { next_round(CALM_PAUSE) }).await;
        }
    });
}

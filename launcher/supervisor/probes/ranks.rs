//! What the other ranks tell of their engines: which process each is, and how it ended.

use crate::here::meeting;
use crate::plan::meeting::pause;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks until all have come, and while they end.
const PAUSE: Duration = Duration::from_millis(50);

/// Watches the place until every rank's engine has ended.
pub fn watch(place: PathBuf, size: u32, sender: Sender) {
    tokio::spawn(async move {
        let mut coming: BTreeSet<u32> = (1..size).collect();
        let mut living = coming.clone();
        while !living.is_empty() && !sender.is_closed() {
            for report in coming
                .clone()
                .into_iter()
                .filter_map(|rank| meeting::reported(&place, rank))
            {
                coming.remove(&report.rank);
                let _ = sender.send(Notice::EngineReported(report));
            }
            for rank in living.clone() {
                if let Some((pid, exit)) = meeting::ended(&place, rank) {
                    living.remove(&rank);
                    coming.remove(&rank);
                    let _ = sender.send(Notice::RankEnded { rank, pid, exit });
                }
            }
            let busy = !coming.is_empty() || living.len() + 1 < size as usize;
            sleep(if busy { PAUSE } else { pause(size) }).await;
        }
    });
}

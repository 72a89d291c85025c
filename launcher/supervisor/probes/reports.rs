//! Which engine runs where, and in which MPI world: every task of the step reports into the step's log.

use super::{CALM_PAUSE, PAUSE};
use crate::here::log::Log;
use crate::plan::report::Report;
use crate::plan::world::WorldReport;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// A start that takes longer is looked at less often.
const LONG_START: Duration = Duration::from_secs(180);

/// Follows the log until so many tasks have reported; with `worlds`, also until each told its MPI world.
pub fn watch(log: Log, expected: u32, worlds: bool, sender: Sender) {
    tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        let mut in_a_world = BTreeSet::new();
        let all = expected as usize;
        let begin = Instant::now();
        let mut offset = 0;
        while (seen.len() < all || worlds && in_a_world.len() < all) && !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for report in lines.iter().filter_map(|line| Report::read(line)) {
                if seen.insert(report.rank) {
                    let _ = sender.send(Notice::EngineReported(report));
                }
            }
            for world in lines.iter().filter_map(|line| WorldReport::read(line)) {
                if in_a_world.insert(world.task) {
                    let _ = sender.send(Notice::WorldReported(world));
                }
            }
            // A user's own startup code takes the place of ours: then no world is ever told.
            let calm = begin.elapsed() > LONG_START;
            sleep(if calm { CALM_PAUSE } else { PAUSE }).await;
        }
    });
}

//! Which engine runs where: every task of the step reports into the step's log.

use super::PAUSE;
use crate::here::log::Log;
use crate::plan::report::Report;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use tokio::time::sleep;

/// Follows the log until so many tasks have reported.
pub fn watch(log: Log, expected: u32, sender: Sender) {
    tokio::spawn(async move {
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        while seen.len() < expected as usize && !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for report in lines.iter().filter_map(|line| Report::read(line)) {
                if seen.insert(report.rank) {
                    let _ = sender.send(Notice::EngineReported(report));
                }
            }
            sleep(PAUSE).await;
        }
    });
}

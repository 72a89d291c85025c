//! What an engine that was started again as a step of its own tells in its log: who and where it is.

use super::PAUSE;
use crate::here::log::Log;
use crate::plan::report::Report;
use crate::supervisor::notice::{Notice, Sender};
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long it is looked for: one that has not told by then does not come in time, and its srun is killed.
const LIMIT: Duration = Duration::from_secs(90);

/// Follows the log until the engine has told. `srun` is the process that starts it.
pub fn watch(log: Log, srun: u32, engine: u32, sender: Sender) {
    tokio::spawn(async move {
        let begin = Instant::now();
        let mut offset = 0;
        while !sender.is_closed() && begin.elapsed() < LIMIT {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            let mut reports = lines.iter().filter_map(|line| Report::read(line));
            if let Some(report) = reports.find(|report| report.rank == engine) {
                let _ = sender.send(Notice::EngineIsBack { srun, report });
                return;
            }
            sleep(PAUSE).await;
        }
    });
}

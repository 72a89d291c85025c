//! What an engine that was started again as a step of its own tells in its log: who and where it is, and, where it takes the place of
//! a node's first one, whether the engines there are at rest.

use super::{CALM_PAUSE, PAUSE};
use crate::here::os::log::Log;
use crate::here::os::own_time::OwnTime;
use crate::plan::task_lines::{Line, read};
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

/// How long it is looked for often: most tell within seconds, and one that takes longer does not miss the look that finds it later.
const LIMIT: Duration = Duration::from_secs(90);

/// Follows the log until another start of that engine is followed. `srun` is the process that starts it.
pub fn watch(log: Log, srun: u32, engine: u32, sender: Sender) -> JoinHandle<()> {
    file_thread::spawn(async move {
        let begin = OwnTime::now();
        let (mut offset, mut is_back) = (0, false);
        while !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for line in lines.iter().filter_map(|line| read(line)) {
                match line {
                    Line::Task(report) if report.rank == engine && !is_back => {
                        is_back = true;
                        let _ = sender.send(Notice::EngineIsBack { srun, report });
                    }
                    Line::Rest(rest) => {
                        let _ = sender.send(Notice::NodeTold(rest));
                    }
                    _ => {}
                }
            }
            let calm = is_back || begin.elapsed() > LIMIT;
            sleep(if calm { CALM_PAUSE } else { PAUSE }).await;
        }
    })
}

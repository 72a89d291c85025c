//! What the engines' step tells in its log: each task who it is and which MPI world it sees, srun how tasks ended.

use super::{CALM_PAUSE, PAUSE};
use crate::here::log::Log;
use crate::plan::report::{Line, read};
use crate::supervisor::event::Event;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// How long srun's own words are kept back: they overtake the last lines of the very task that they are about, which come
/// from its node by way of srun's other streams.
const OVERTAKING: Duration = Duration::from_millis(300);

/// Follows the log as long as the job lives: often until so many tasks have reported (and one of its world, where there is
/// to be one) or `limit` is over, then calmly.
pub fn watch(log: Log, expected: u32, world: bool, limit: Duration, sender: Sender) {
    tokio::spawn(async move {
        let begin = Instant::now();
        let mut awaits_world = world;
        let mut seen = BTreeSet::new();
        let mut offset = 0;
        while !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            for line in lines.iter().filter_map(|line| read(line)) {
                let notice = match line {
                    Line::Task(report) => {
                        seen.insert(report.rank);
                        Notice::EngineReported(report)
                    }
                    Line::World(world) => {
                        awaits_world = false;
                        Notice::Event(Event::World(world))
                    }
                    Line::Srun(words) => {
                        sleep(OVERTAKING).await;
                        Notice::Event(Event::SrunSaid(words))
                    }
                };
                let _ = sender.send(notice);
            }
            let complete = seen.len() >= expected as usize && !awaits_world;
            let calm = complete || begin.elapsed() > limit;
            sleep(if calm { CALM_PAUSE } else { PAUSE }).await;
        }
    });
}

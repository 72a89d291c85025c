//! What the other ranks tell of their engines: which process each is, and how it ended; and which MPI world ours sees.

use super::Lack;
use crate::here::os::log::Log;
use crate::here::os::own_time::OwnTime;
use crate::here::profile::rendezvous;
use crate::plan::engines::named;
use crate::plan::name::Name;
use crate::plan::rendezvous::pause;
use crate::plan::task_lines::{Line, read};
use crate::supervisor::event::Event;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks until all have come, and while they end.
const PAUSE: Duration = Duration::from_millis(50);

/// Watches the place until every rank's engine has ended.
pub fn watch(place: PathBuf, size: u32, sender: Sender) {
    file_thread::spawn(async move {
        let mut coming: BTreeSet<u32> = (1..size).collect();
        let mut living = coming.clone();
        let mut lack = Lack::of(Name::Engines);
        while !living.is_empty() && !sender.is_closed() {
            for report in coming
                .clone()
                .into_iter()
                .filter_map(|rank| rendezvous::reported(&place, rank))
            {
                coming.remove(&report.rank);
                let _ = sender.send(Notice::EngineReported(report));
            }
            for rank in living.clone() {
                if let Some(end) = rendezvous::ended(&place, rank) {
                    living.remove(&rank);
                    coming.remove(&rank);
                    let _ = sender.send(Notice::RankEnded { rank, end });
                }
            }
            let absent: Vec<u32> = coming.iter().copied().collect();
            let what = format!(
                "nothing was heard from {} in {}, which all nodes must share",
                named("rank", &absent),
                place.display()
            );
            let what = Some(what).filter(|_| !absent.is_empty());
            lack.tell(what.unwrap_or_default(), &sender);
            let busy = !coming.is_empty() || living.len() + 1 < size as usize;
            sleep(if busy { PAUSE } else { pause(size) }).await;
        }
    });
}

/// Watches the log of our own engine until it has told the size of its MPI world, or `limit` is over.
pub fn watch_world(log: Log, limit: Duration, sender: Sender) {
    watch_for(log, limit, sender, |line| match line {
        Line::World(world) => Some(Notice::Event(Event::World(world))),
        _ => None,
    });
}

/// Watches the log of an engine until it has told what it sees of its node, or `limit` is over.
pub fn watch_sight(log: Log, engine: u32, limit: Duration, sender: Sender) {
    watch_for(log, limit, sender, move |line| match line {
        Line::Sees(mut sight) => {
            sight.task = Some(engine);
            Some(Notice::EngineSees(sight))
        }
        _ => None,
    });
}

/// Watches a log until a line is what is waited for.
fn watch_for(
    log: Log,
    limit: Duration,
    sender: Sender,
    mut wanted: impl FnMut(Line) -> Option<Notice> + Send + 'static,
) {
    file_thread::spawn(async move {
        let begin = OwnTime::now();
        let mut offset = 0;
        while begin.elapsed() < limit && !sender.is_closed() {
            let (lines, next) = log.lines_from(offset);
            offset = next;
            let found = lines.iter().find_map(|line| wanted(read(line)?));
            if let Some(notice) = found {
                let _ = sender.send(notice);
                return;
            }
            sleep(PAUSE).await;
        }
    });
}

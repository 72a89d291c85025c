//! Readiness as observed facts. Each probe looks again after a short pause until it saw the fact (or that it can never
//! be), and sends it.
//!
//! docs/design/start.md explains the design.

pub mod controller;
pub mod descriptors;
pub mod handed;
pub mod jupyter;
pub mod ranks;
pub mod srun_log;

use super::event::Event;
use super::file_thread;
use super::notice::{Notice, Sender};
use crate::here::os::log;
use crate::here::os::own_time::{OwnTime, ROUND, next_round};
use crate::here::profile::connection_files::ConnectionFiles;
use crate::plan::engine_list::EngineList;
use crate::plan::name::Name;
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// Between two looks while something starts: half of it is added to the start each time that something is waited for. Half
/// as long saves 7 ms of a whole start and doubles what the looks cost, on a network's file system too.
const PAUSE: Duration = Duration::from_millis(10);

/// Between two looks when all is well. A wake-up costs more than the look: it finds cold caches.
const CALM_PAUSE: Duration = Duration::from_millis(1800);

/// As many times as long as a look takes, the pause after it is at the least, where what is looked at grows with the engines: so
/// the looks of a start take a fixed part of its time, however large the start is.
const LOOKS_PART: u32 = 20;

/// No pause of a start is longer: on a machine that is busy enough, looks take long by themselves.
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// Waits before the next look at something that grows with the engines.
async fn pause_by_size(begin: OwnTime) {
    sleep((begin.elapsed() * LOOKS_PART).clamp(PAUSE, LONGEST_PAUSE)).await;
}

/// Waits before the next look. Reading the kernel's table of sockets takes milliseconds on a machine with much memory, so
/// the pause is as long as the look that began at `begin` was: what starts has more use for the CPU.
async fn pause(begin: OwnTime) {
    sleep(begin.elapsed().max(PAUSE)).await;
}

/// Waits for the next calm look.
pub(super) async fn calm_pause() {
    sleep(next_round(CALM_PAUSE)).await;
}

/// How long it is to the next look at what must be replaced within 2 s when it dies.
fn next_attentive_look() -> Duration {
    next_round(ROUND)
}

/// Tells what a service that starts still lacks, whenever it is another thing than at the last look.
struct Lack {
    service: Name,
    told: String,
}

impl Lack {
    fn of(service: Name) -> Self {
        Self {
            service,
            told: String::new(),
        }
    }

    fn tell(&mut self, what: String, sender: &Sender) {
        if what != self.told {
            self.told.clone_from(&what);
            let service = self.service;
            let _ = sender.send(Notice::Event(Event::Lacks { service, what }));
        }
    }
}

/// The connection files stay what they are, whoever else writes there: looks at them again and again, and tells what others did to them.
pub fn keep_connection_files(files: Arc<ConnectionFiles>, sender: Sender) -> JoinHandle<()> {
    file_thread::spawn(async move {
        while !sender.is_closed() {
            let changes = files.look();
            if !changes.is_empty() {
                let _ = sender.send(Notice::FilesChanged(changes));
            }
            calm_pause().await;
        }
    })
}

/// What tells one writing of the hub's list of engines from the next: hub.py rewrites it, in place, at every registration and loss.
type Stamp = (u64, i64, i64, u64);

/// Watches that list as long as the job lives: often until all are there or `limit` is over, then calmly, and whenever the hub has told
/// that it is `written`.
pub fn watch_engines(
    list: PathBuf,
    expected: u32,
    limit: Duration,
    written: Arc<Notify>,
    sender: Sender,
) {
    file_thread::spawn(async move {
        let begin = OwnTime::now();
        let mut seen = EngineList::default();
        let mut stamp = None;
        let mut again = false;
        while !sender.is_closed() {
            let look = OwnTime::now();
            let now = stamp_of(&list);
            if now.is_some() && (now != stamp || again) {
                // Two writings can share a stamp (clock tick, length), so a changed file is read once more.
                again = now != stamp;
                match read(&list) {
                    Some(list) => {
                        stamp = now;
                        if list != seen {
                            seen.clone_from(&list);
                            let _ = sender.send(Notice::EnginesListed(list));
                        }
                    }
                    None => stamp = None,
                }
            }
            if seen.len() >= expected as usize || begin.elapsed() > limit {
                let _ = timeout(next_round(CALM_PAUSE), written.notified()).await;
            } else {
                pause_by_size(look).await;
            }
        }
    });
}

fn stamp_of(path: &Path) -> Option<Stamp> {
    let data = fs::metadata(path).ok()?;
    Some((data.len(), data.mtime(), data.mtime_nsec(), data.ino()))
}

fn read(path: &Path) -> Option<EngineList> {
    EngineList::read(&fs::read_to_string(path).ok()?)
}

/// Bytes of all logs of a job together.
pub const TOTAL: u64 = 512 * 1024 * 1024;

/// Between two looks while logs grow fast.
const FAST_PAUSE: Duration = Duration::from_millis(200);

/// What grows by such a part of that in a calm pause grows fast.
const FAST: u64 = 32;

/// No service fills its user's quota by what it writes into its log: keeps all logs that are opened here within `total` bytes as long as
/// the job lives, and tells of each once.
pub fn cut_logs(total: u64, sender: Sender) {
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
            sleep(if fast {
                FAST_PAUSE
            } else {
                next_round(CALM_PAUSE)
            })
            .await;
        }
    });
}

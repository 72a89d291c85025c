//! Engines count when the hub's engine file lists them: hub.py rewrites it, in place, at every registration and loss.

use super::{calm_pause, pause_by_size};
use crate::here::os::own_time::OwnTime;
use crate::plan::engine_list::EngineList;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Notice, Sender};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What tells one writing of the file from the next.
type Stamp = (u64, i64, i64, u64);

/// Watches the file as long as the job lives: often until all are there or `limit` is over, then calmly.
pub fn watch(list: PathBuf, expected: u32, limit: Duration, sender: Sender) {
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
                calm_pause().await;
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

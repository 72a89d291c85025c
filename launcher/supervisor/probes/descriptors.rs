//! A service that has no descriptor left works on and hears nobody new, and nothing else shows it (docs/design/limits.md).

use super::processes::names;
use super::{LOOKS_PART, calm_pause};
use crate::here::os::limits::{self, Descriptors};
use crate::here::os::own_time::OwnTime;
use crate::here::os::{connections, process, sockets};
use crate::plan::name::Name;
use crate::supervisor::event::Event;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Answer, Notice, Sender, Wired};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::time::sleep;

/// So many that are free are few, and so many are enough again; of a low limit it is a part.
const FEW: u64 = 16;
const ENOUGH: u64 = 64;

/// So many looks must see the same: what is so for a moment is nobody's concern.
const LOOKS: u32 = 2;

/// A longer look is one at so many descriptors that it is not taken as often.
const LONG: Duration = Duration::from_millis(5);

/// What is watched.
struct Watch {
    service: Name,
    /// Each process, and what it is in its service: `the hub`; nothing where it is the only one.
    processes: Vec<(u32, String)>,
    /// Where it listens.
    address: Ipv4Addr,
    ports: BTreeSet<u16>,
}

/// Watches a controller that is ready.
pub fn watch_controller(wired: &Wired, sender: Sender) {
    let processes = wired.holders.iter();
    run(
        Watch {
            service: Name::Controller,
            processes: processes
                .map(|(pid, endpoints)| (*pid, format!("{}, ", names(endpoints))))
                .collect(),
            address: wired.address.parse().unwrap_or(Ipv4Addr::LOCALHOST),
            ports: wired.sockets.iter().map(|(one, _)| one.port).collect(),
        },
        sender,
    );
}

/// Watches a Jupyter that is ready: behind a wrapper it is another process than our child.
pub fn watch_jupyter(answer: &Answer, address: Ipv4Addr, sender: Sender) {
    let mut tree = process::descendants(answer.pid);
    tree.insert(answer.pid);
    let listening = sockets::Listening::of(tree);
    let holders = listening.holders(answer.port);
    run(
        Watch {
            service: Name::Jupyter,
            processes: holders.map(|pid| (pid, String::new())).collect(),
            address,
            ports: BTreeSet::from([answer.port]),
        },
        sender,
    );
}

fn run(watch: Watch, sender: Sender) {
    file_thread::spawn(async move {
        let mut limits: Vec<Option<u64>> = vec![None; watch.processes.len()];
        let (mut short, mut looks) = (false, 0);
        while !sender.is_closed() {
            calm_pause().await;
            let begin = OwnTime::now();
            // What has ended, or cannot be seen, is told by others or not at all.
            let Some((at, seen)) = watch.worst(&mut limits) else {
                return;
            };
            looks = if is_short(seen, short) == short {
                0
            } else {
                looks + 1
            };
            if looks == LOOKS {
                (short, looks) = (!short, 0);
                let service = watch.service;
                let event = if short {
                    let what = watch.told(at, seen);
                    Event::Lacks { service, what }
                } else {
                    let detail = format!("({seen} in use)");
                    Event::Ready { service, detail }
                };
                let _ = sender.send(Notice::Event(event));
            }
            let took = begin.elapsed();
            if took > LONG {
                sleep(took * LOOKS_PART).await;
            }
        }
    });
}

/// Whether few are free, or not enough yet where few were.
fn is_short(seen: Descriptors, was: bool) -> bool {
    let free = seen.limit.saturating_sub(seen.used);
    if was {
        free < ENOUGH.min(seen.limit / 4)
    } else {
        free <= FEW.min(seen.limit / 16)
    }
}

impl Watch {
    /// The process that has the fewest free; a limit is read once, and again where it seems to be near.
    fn worst(&self, limits: &mut [Option<u64>]) -> Option<(usize, Descriptors)> {
        let mut worst: Option<(usize, Descriptors)> = None;
        for (at, (pid, _)) in self.processes.iter().enumerate() {
            let used = limits::in_use(*pid)?;
            let known = limits.get_mut(at)?;
            if known.is_none_or(|limit| used + ENOUGH > limit) {
                *known = Some(limits::open_files_of(*pid)?);
            }
            let seen = Descriptors {
                used,
                limit: (*known)?,
            };
            let free = |seen: Descriptors| seen.limit.saturating_sub(seen.used);
            if worst.is_none_or(|(_, other)| free(seen) < free(other)) {
                worst = Some((at, seen));
            }
        }
        worst
    }

    /// `1,024 of 1,024 descriptors in use (the hub, pid 7); uid 1000 has 1,100 connections to its ports on this node`.
    fn told(&self, at: usize, seen: Descriptors) -> String {
        let (pid, role) = &self.processes[at];
        let users = connections::by_user(self.address, &self.ports);
        let most = users.iter().max_by_key(|(_, count)| **count);
        let who = most
            .filter(|(_, count)| **count * 2 >= seen.used)
            .map(|(uid, count)| {
                let count = limits::grouped(*count);
                format!("; uid {uid} has {count} connections to its ports on this node")
            });
        format!("{seen} in use ({role}pid {pid}){}", who.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_is_a_part_of_a_low_limit_and_enough_is_more_than_few() {
        let seen = |used, limit| Descriptors { used, limit };
        for (used, limit, was, short) in [
            (1007, 1024, false, false),
            (1008, 1024, false, true),
            (1024, 1024, false, true),
            (961, 1024, true, true),
            (960, 1024, true, false),
            (119, 128, false, false),
            (120, 128, false, true),
            (96, 128, true, false),
            (30_000, 65_536, false, false),
        ] {
            assert_eq!(is_short(seen(used, limit), was), short, "{used} of {limit}");
        }
    }
}

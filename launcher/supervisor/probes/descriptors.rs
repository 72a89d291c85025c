//! A service that has no descriptor left works on and hears nobody new, and nothing else shows it (docs/design/limits.md).

use super::controller::names;
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
use std::path::Path;
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
    processes: Vec<Watched>,
    /// Where it listens.
    address: Ipv4Addr,
    ports: BTreeSet<u16>,
}

/// One process of it.
struct Watched {
    pid: u32,
    /// What it is in its service: `the hub`; nothing where it is the only one.
    role: String,
    /// Its limit, which is read once, and again where it seems to be near.
    limit: Option<u64>,
    /// Whether it has ended. Another process may get its number.
    ended: bool,
}

/// Watches a controller that is ready.
pub fn watch_controller(wired: &Wired, sender: Sender) {
    let processes = wired.holders.iter();
    run(
        Watch {
            service: Name::Controller,
            processes: processes
                .map(|(pid, endpoints)| Watched::new(*pid, format!("{}, ", names(endpoints))))
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
            processes: holders
                .map(|pid| Watched::new(pid, String::new()))
                .collect(),
            address,
            ports: BTreeSet::from([answer.port]),
        },
        sender,
    );
}

fn run(mut watch: Watch, sender: Sender) {
    file_thread::spawn(async move {
        let (mut short, mut looks) = (false, 0);
        while !sender.is_closed() {
            calm_pause().await;
            let begin = OwnTime::now();
            let Some((at, seen)) = watch.worst() else {
                if watch.processes.iter().all(|one| one.ended) {
                    break;
                }
                continue;
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
                    Event::Hindered { service, what }
                } else {
                    let detail = format!("({seen} in use)");
                    Event::Unhindered { service, detail }
                };
                let _ = sender.send(Notice::Event(event));
            }
            let took = begin.elapsed();
            if took > LONG {
                sleep(took * LOOKS_PART).await;
            }
        }
        if short {
            // The end of a service is told by others, and by now it was.
            calm_pause().await;
            let _ = sender.send(Notice::Event(Event::Unhindered {
                service: watch.service,
                detail: "(what was short of descriptors has ended)".to_owned(),
            }));
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

impl Watched {
    fn new(pid: u32, role: String) -> Self {
        Self {
            pid,
            role,
            limit: None,
            ended: false,
        }
    }

    /// Its descriptors. Nothing of one that has ended, nor for a moment where we have none left ourselves to look with.
    fn look(&mut self) -> Option<Descriptors> {
        if self.ended {
            return None;
        }
        let Some(used) = limits::in_use(self.pid) else {
            let place = Path::new("/proc").join(self.pid.to_string());
            self.ended = place.try_exists().is_ok_and(|there| !there);
            return None;
        };
        if self.limit.is_none_or(|limit| used + ENOUGH > limit) {
            self.limit = limits::open_files_of(self.pid).or(self.limit);
        }
        Some(Descriptors {
            used,
            limit: self.limit?,
        })
    }
}

impl Watch {
    /// The process that has the fewest free, of those that can be seen.
    fn worst(&mut self) -> Option<(usize, Descriptors)> {
        let looks = self.processes.iter_mut().enumerate();
        let seen = looks.filter_map(|(at, one)| Some((at, one.look()?)));
        seen.min_by_key(|(_, seen)| seen.limit.saturating_sub(seen.used))
    }

    /// `1,024 of 1,024 descriptors in use (the hub, pid 7); uid 1000 has 1,100 connections to its ports on this node`.
    fn told(&self, at: usize, seen: Descriptors) -> String {
        let Watched { pid, role, .. } = &self.processes[at];
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
    use std::process::Command;

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

    #[test]
    fn what_has_ended_is_left_out_and_the_others_are_watched_on() {
        let mut gone = Command::new("true").spawn().expect("a process");
        let pid = gone.id();
        let _ = gone.wait().expect("its end");
        let one = |pid| Watched::new(pid, String::new());
        let mut watch = Watch {
            service: Name::Controller,
            processes: vec![one(pid), one(std::process::id())],
            address: Ipv4Addr::LOCALHOST,
            ports: BTreeSet::new(),
        };
        assert_eq!(watch.worst().map(|(at, _)| at), Some(1));
        let ended: Vec<bool> = watch.processes.iter().map(|one| one.ended).collect();
        assert_eq!(ended, [true, false]);
        watch.processes.truncate(1);
        assert_eq!(watch.worst(), None);
    }
}

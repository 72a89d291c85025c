//! Ending what services leave behind: nannies and kernels in sessions of their own, orphans of any kind; and looking at what does not end.
//!
//! docs/design/stop.md explains the design.

use super::Supervisor;
use super::event::{Event, Level};
use super::notice::{Notice, Sender};
use crate::here::os::own_time::OwnTime;
use crate::here::os::process;
use crate::here::os::stray_processes::{self, Leftover};
use crate::plan::name::{Name, Unit};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::sleep;

/// How long what is asked may take at least before it is killed, also when its service has used up the time of both.
const LEAST_GRACE: Duration = Duration::from_millis(700);

/// Between two looks, as long as what was killed may still end at once.
const PAUSE: Duration = Duration::from_millis(10);

/// The same after [`SOON`]: what lives then hangs, perhaps for minutes.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// So long SIGKILL may take on a busy machine.
const SOON: Duration = Duration::from_secs(3);

/// How long what a service left may take: the rest of the service's share of the stop, because a shell around a driver or an
/// engine ends at once, and the program that it ran is then what has work to put down.
pub fn grace(limit: Duration, used: Option<Duration>) -> Duration {
    limit
        .saturating_sub(used.unwrap_or_default())
        .max(LEAST_GRACE)
}

/// Ends what carries the incarnation and the service's name (or, without a service, everything that is ours) and then sends
/// `Swept`: it is asked, and killed after the grace, or at once without one. The machine's own time limit bounds it.
pub fn start(incarnation: String, service: Option<Name>, grace: Option<Duration>, sender: Sender) {
    tokio::spawn(async move {
        let begin = OwnTime::now();
        let mut asked = BTreeSet::new();
        loop {
            let left = left(&incarnation, service);
            if left.is_empty() {
                break;
            }
            for leftover in left {
                if grace.is_none_or(|grace| begin.elapsed() > grace) {
                    leftover.signal(Signal::SIGKILL);
                } else if asked.insert(leftover) {
                    leftover.signal(Signal::SIGTERM);
                }
            }
            if sender.is_closed() {
                return;
            }
            let used = begin.elapsed();
            let soon = grace.unwrap_or_default() + SOON;
            sleep(if used < soon { PAUSE } else { LONG_PAUSE }).await;
        }
        let _ = sender.send(Notice::Event(Event::Swept(service)));
    });
}

fn left(incarnation: &str, service: Option<Name>) -> BTreeSet<Leftover> {
    let carrying = stray_processes::carrying(incarnation).into_iter();
    match service {
        Some(name) => carrying
            .filter(|(_, label)| label.as_deref() == Some(name.word()))
            .map(|(leftover, _)| leftover)
            .collect(),
        None => carrying
            .map(|(leftover, _)| leftover)
            .chain(stray_processes::descendants())
            .collect(),
    }
}

/// Looks at a start that is late.
const LOOKS: u32 = 10;

/// Between two of them.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// At so many looks it must be seen at work: processes that only wait have to beat now and then.
const ENOUGH: u32 = 3;

/// Processes that are named, of many.
const NAMED: usize = 3;

/// Looking at processes that do not end, or take long to start. What is said is what /proc shows, and no more.
impl Supervisor<'_> {
    /// Says which processes of a service, or of the whole job, SIGKILL has not ended.
    pub(super) fn say_what_lives(&mut self, service: Option<Name>, then: &str) {
        let incarnation = &self.plan.incarnation.id;
        let mut pids: BTreeSet<u32> = stray_processes::carrying(incarnation)
            .into_iter()
            .filter(|(_, label)| service.is_none_or(|name| label.as_deref() == Some(name.word())))
            .map(|(leftover, _)| leftover.pid)
            .collect();
        match service {
            Some(name) => pids.extend(self.children.unreaped(name)),
            None => pids.extend(
                stray_processes::descendants()
                    .into_iter()
                    .map(|left| left.pid),
            ),
        }
        let living: Vec<String> = pids.into_iter().filter_map(described).collect();
        let of = service.map(|name| format!("{name}: ")).unwrap_or_default();
        let text = match (living.len(), service) {
            // Here it has ended meanwhile; what other nodes have is known by their words alone.
            (0, Some(name)) if self.children.of(name).next().is_none() => {
                format!(
                    "{of}nothing of it runs on this node any more, but its end has not been reported; {then}"
                )
            }
            (0, _) => return,
            (all, _) => {
                let rest = all.saturating_sub(NAMED);
                let more = if rest > 0 {
                    format!(" and {rest} more")
                } else {
                    String::new()
                };
                let named: Vec<String> = living.into_iter().take(NAMED).collect();
                format!(
                    "{of}SIGKILL has not ended {}{more}; {then}",
                    named.join(", ")
                )
            }
        };
        self.say(Level::Warning, text);
    }

    /// Looks whether a start that is late makes progress; what was seen comes as an event.
    pub(super) fn look_for_progress(&self, unit: Unit, generation: u32) {
        let running = self.children.running.iter();
        let roots: Vec<u32> = running
            .filter(|(_, (part, _))| unit.has(*part))
            .map(|(pid, _)| *pid)
            .collect();
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let mut at_work = 0;
            for _ in 0..LOOKS {
                at_work += u32::from(roots.iter().any(|pid| is_at_work(*pid)));
                sleep(BETWEEN_LOOKS).await;
            }
            let seen = (at_work >= ENOUGH).then(|| {
                format!("in {at_work} of {LOOKS} checks its processes were running or waiting for a CPU (R), or in uninterruptible sleep (D)")
            });
            let _ = sender.send(Notice::Event(Event::Progress {
                unit,
                generation,
                seen,
            }));
        });
    }
}

/// Whether a process, or one that it has started, has something to do.
fn is_at_work(pid: u32) -> bool {
    let mut all = process::descendants(pid);
    all.insert(pid);
    all.into_iter()
        .any(|pid| matches!(process::living_state(pid), Some('R' | 'D')))
}

/// A process that has not ended: `pid 7 (python3), which is in uninterruptible sleep (D)`.
fn described(pid: u32) -> Option<String> {
    let state = process::living_state(pid)?;
    let words = match state {
        'R' => "running or waiting for a CPU",
        'D' => "in uninterruptible sleep",
        'T' | 't' => "stopped",
        _ => "asleep",
    };
    let name = process::name(pid);
    Some(format!("pid {pid} ({name}), which is {words} ({state})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_has_the_rest_of_the_share() {
        let seconds = Duration::from_secs;
        assert_eq!(grace(seconds(6), None), seconds(6));
        assert_eq!(grace(seconds(6), Some(seconds(2))), seconds(4));
        assert_eq!(grace(seconds(6), Some(seconds(7))), LEAST_GRACE);
    }
}

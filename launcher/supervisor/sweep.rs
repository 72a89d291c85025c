//! Ending what services leave behind: nannies and kernels in sessions of their own, orphans of any kind.
//!
//! docs/design/stop.md explains the design.

use super::event::Event;
use super::notice::{Notice, Sender};
use crate::here::os::own_time::OwnTime;
use crate::here::os::stray_processes::{self, Leftover};
use crate::plan::name::Name;
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

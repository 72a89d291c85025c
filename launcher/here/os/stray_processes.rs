//! Processes that carry an incarnation in their environment: nannies and kernels live in sessions of their own and survive
//! their parents, and a killed ipjob leaves everything running.

use super::process;
use crate::plan::incarnation::{INCARNATION_VARIABLE, SERVICE_VARIABLE};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

/// A process by its id and start, so that a number that was used again is never hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Leftover {
    /// The process id.
    pub pid: u32,
    start: u64,
}

impl Leftover {
    /// The process of that id, if it runs.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        process::stat(pid)
            .filter(process::Stat::runs)
            .map(|stat| Self {
                pid,
                start: stat.start,
            })
    }

    /// The child of that id, also one that has ended, until it is waited for: so long nobody else has its number.
    #[must_use]
    pub fn child(pid: u32) -> Option<Self> {
        process::stat(pid).map(|stat| Self {
            pid,
            start: stat.start,
        })
    }

    /// Whether this child has not been waited for.
    #[must_use]
    pub fn is_unreaped(self) -> bool {
        Self::child(self.pid) == Some(self)
    }

    /// Sends a signal, if it is still the same process.
    pub fn signal(self, signal: Signal) {
        if Self::of(self.pid) == Some(self)
            && let Ok(pid) = i32::try_from(self.pid)
        {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// The running processes that carry the incarnation, each with the service it belongs to; never ourselves.
#[must_use]
pub fn carrying(incarnation: &str) -> BTreeMap<Leftover, Option<String>> {
    let own = std::process::id();
    process::all()
        .into_iter()
        .filter(|pid| *pid != own)
        .filter(|pid| {
            process::variable(*pid, INCARNATION_VARIABLE).is_some_and(|id| id == incarnation)
        })
        .filter_map(|pid| Some((Leftover::of(pid)?, process::variable(pid, SERVICE_VARIABLE))))
        .collect()
}

/// What ran below this process before it started anything.
static STRANGERS: OnceLock<BTreeSet<Leftover>> = OnceLock::new();

/// Notes what runs below this process before it starts anything: what a batch script has put into the background, or `tee`
/// behind its redirection, is a child of the ipjob that the script becomes with `exec`.
pub fn note_strangers() {
    let below = process::descendants(std::process::id());
    let _ = STRANGERS.set(below.into_iter().filter_map(Leftover::of).collect());
}

/// The running descendants of this process, without strangers and what these have started: as a child subreaper it inherits
/// every orphan of its tree, also one that cleaned its environment.
#[must_use]
pub fn descendants() -> Vec<Leftover> {
    let strangers = STRANGERS.get();
    let is_stranger = |pid: u32| {
        strangers.is_some_and(|known| {
            Leftover::of(pid).is_some_and(|leftover| known.contains(&leftover))
        })
    };
    process::descendants_but(std::process::id(), is_stranger)
        .into_iter()
        .filter_map(Leftover::of)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_is_known_until_it_is_waited_for() {
        let mut process = std::process::Command::new("true").spawn().expect("true");
        let child = Leftover::child(process.id()).expect("a child");
        while Leftover::of(child.pid).is_some() {
            std::thread::yield_now();
        }
        assert!(child.is_unreaped(), "dead, and its number still its own");
        process.wait().expect("it has ended");
        assert!(!child.is_unreaped());
    }
}

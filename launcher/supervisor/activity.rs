//! Whether the job is in use, with `--idle-timeout`. Use is what nothing but use does:
//!  - a message through one of the controller's schedulers: they sleep while nobody sends, so that any CPU time of theirs, which the
//!    kernel counts in nanoseconds, is a client's or an engine's doing; the heartbeats have a process of their own;
//!  - CPU time of an engine, a kernel, or what they have started, beyond what they need to stay alive;
//!  - a kernel that computes, and all that Jupyter itself counts as activity.
//!
//! What cannot be seen counts as use: no job ends because a look failed.

use super::event::Event;
use super::notice::{Notice, Wired};
use super::probes::jupyter::{Probe, Use};
use super::{Supervisor, lookers};
use crate::here::process;
use crate::plan::connection::Endpoint;
use crate::plan::service::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// Clock ticks that a process may have from the grains in which the kernel counts.
const GRAIN_TICKS: u64 = 2;

/// Clock ticks in a second, a hundredth of a CPU, that a process may need to stay alive: an engine at its shortest heartbeat
/// needs 0.2.
const TICKS_PER_SECOND: u64 = 1;

/// What was seen is compared with what was seen so long before at the least: of less a busy machine may give an engine nothing.
const SHORTEST_SPAN: Duration = Duration::from_secs(1);

/// What is known of the job's use.
#[derive(Debug, Default)]
pub struct Activity {
    /// The controller's processes that only messages wake.
    schedulers: Vec<u32>,
    /// What the next look is compared with.
    before: Option<Seen>,
    /// When it was looked last.
    looked: Option<Instant>,
}

/// What one look has seen.
#[derive(Debug)]
pub struct Seen {
    at: Instant,
    /// Nanoseconds of each scheduler.
    schedulers: BTreeMap<u32, Option<u64>>,
    /// Clock ticks of each process that computes for the user, by its id and start.
    ran: BTreeMap<(u32, u64), u64>,
    /// What Jupyter tells; `None` where it was asked in vain.
    jupyter: Option<Use>,
}

impl Activity {
    /// A controller is ready: its schedulers are known.
    pub fn follow(&mut self, wired: &Wired) {
        let schedules = |endpoints: &[Endpoint]| {
            let hubs = ["hb_", "heartbeat", "registration", "notification"];
            !endpoints.is_empty()
                && !endpoints
                    .iter()
                    .any(|one| hubs.iter().any(|word| one.name.contains(word)))
        };
        self.schedulers = wired
            .holders
            .iter()
            .filter(|(_, endpoints)| schedules(endpoints))
            .map(|(pid, _)| *pid)
            .collect();
    }

    /// Compares a look with the one before.
    pub fn judge(&mut self, seen: Seen) -> Event {
        let since = self.looked.replace(seen.at);
        let (Some(before), Some(since)) = (&self.before, since) else {
            self.before = Some(seen);
            return Event::Active;
        };
        let used = seen.differs(before);
        let event = if used {
            Event::Active
        } else {
            Event::Idle(seen.at.duration_since(since))
        };
        if used || seen.at.duration_since(before.at) >= SHORTEST_SPAN {
            self.before = Some(seen);
        }
        event
    }
}

impl Seen {
    /// Whether the job was used since an earlier look.
    fn differs(&self, before: &Self) -> bool {
        let Some(jupyter) = &self.jupyter else {
            return true;
        };
        let told = jupyter.busy || self.jupyter != before.jupyter;
        let passed =
            self.schedulers != before.schedulers || self.schedulers.values().any(Option::is_none);
        let seconds = self.at.duration_since(before.at).as_secs();
        let quiet = GRAIN_TICKS + seconds * TICKS_PER_SECOND;
        let ran = self.ran.iter().any(|(process, ticks)| {
            let earlier = before.ran.get(process).copied().unwrap_or_default();
            ticks.saturating_sub(earlier) > quiet
        });
        told || passed || ran
    }
}

impl Supervisor<'_> {
    /// Looks once; what was seen comes as a notice.
    pub(super) fn look_for_use(&self) {
        let engines: Vec<u32> = self
            .record
            .engines
            .list
            .iter()
            .map(|engine| engine.pid)
            .collect();
        let mut running = self.children.running.keys().copied();
        let server = running.find(|pid| self.children.runs(Name::Jupyter, *pid));
        let probe = match (server, &self.children.reservation) {
            (Some(pid), Some(reservation)) => Some(Probe::new(self.plan, pid, reservation.port)),
            _ => None,
        };
        // Without a Jupyter there is nothing that it could tell.
        let asked = self.children.reservation.is_some();
        let schedulers = self.activity.schedulers.clone();
        let sender = self.attempt.sender.clone();
        lookers::spawn(async move {
            let jupyter = match probe {
                Some(probe) => probe.usage().await,
                None => (!asked).then(Use::default),
            };
            let exactly = |pid| (pid, process::ran_exactly(pid));
            let seen = Seen {
                at: Instant::now(),
                schedulers: schedulers.into_iter().map(exactly).collect(),
                ran: ran(&engines, server),
                jupyter,
            };
            let _ = sender.send(Notice::UseSeen(seen));
        });
    }
}

/// The clock ticks of engines, and of what they and Jupyter have started.
fn ran(engines: &[u32], jupyter: Option<u32>) -> BTreeMap<(u32, u64), u64> {
    let mut pids: BTreeSet<u32> = engines.iter().copied().collect();
    for root in engines.iter().copied().chain(jupyter) {
        pids.extend(process::descendants(root));
    }
    pids.into_iter()
        .filter_map(|pid| {
            let stat = process::stat(pid)?;
            Some(((pid, stat.start), stat.ran))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen so many milliseconds after `begin`, with so many ticks of one engine.
    fn seen(begin: Instant, millis: u64, ticks: u64) -> Seen {
        Seen {
            at: begin + Duration::from_millis(millis),
            schedulers: BTreeMap::from([(1, Some(5))]),
            ran: BTreeMap::from([((2, 7), ticks)]),
            jupyter: Some(Use::default()),
        }
    }

    #[test]
    fn a_heartbeat_is_no_use_and_work_is() {
        let begin = Instant::now();
        assert!(!seen(begin, 60_000, 30).differs(&seen(begin, 0, 0)));
        assert!(!seen(begin, 1_000, 2).differs(&seen(begin, 0, 0)));
        assert!(seen(begin, 1_000, 4).differs(&seen(begin, 0, 0)));
        assert!(seen(begin, 60_000, 100).differs(&seen(begin, 0, 0)));
    }

    #[test]
    fn messages_kernels_and_what_is_not_seen_are_use() {
        let begin = Instant::now();
        let before = seen(begin, 0, 0);
        let mut now = seen(begin, 1_000, 0);
        now.schedulers = BTreeMap::from([(1, Some(6))]);
        assert!(now.differs(&before));
        now.schedulers = BTreeMap::from([(1, None)]);
        assert!(now.differs(&before));
        now = seen(begin, 1_000, 0);
        now.jupyter = None;
        assert!(now.differs(&before));
        now.jupyter = Some(Use {
            busy: true,
            ..Use::default()
        });
        assert!(now.differs(&before));
    }

    #[test]
    fn looks_that_follow_soon_are_compared_with_an_older_one() {
        let begin = Instant::now();
        let mut activity = Activity::default();
        assert_eq!(activity.judge(seen(begin, 0, 0)), Event::Active);
        let millis = Duration::from_millis;
        assert_eq!(
            activity.judge(seen(begin, 800, 2)),
            Event::Idle(millis(800))
        );
        // Two ticks more are four since the first look.
        assert_eq!(activity.judge(seen(begin, 1_000, 4)), Event::Active);
    }
}

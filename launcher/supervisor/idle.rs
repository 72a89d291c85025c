//! Whether the job is in use, with `--idle-timeout`. Use is what nothing but use does:
//!  - a message through one of the controller's schedulers: they sleep while nobody sends, so that any CPU time of theirs, which the
//!    kernel counts in nanoseconds, is a client's or an engine's doing; the heartbeats have a process of their own;
//!  - CPU time of an engine, a kernel, or what they have started, beyond what they need to stay alive;
//!    On other nodes only the engines' own tasks see it, and tell when there is none (`plan/idle.rs`);
//!  - a kernel that computes, and all that Jupyter itself counts as activity.
//!
//! What cannot be seen counts as use: no job ends because a look failed.
//!
//! docs/design/idle.md explains the design.

use super::event::Event;
use super::notice::{Notice, Seen, Use, Wired};
use super::probes::jupyter::Probe;
use super::{Supervisor, file_thread};
use crate::here::os::cpu_time::Computed;
use crate::here::os::own_time::OwnTime;
use crate::here::os::process;
use crate::plan::connection::Endpoint;
use crate::plan::idle::validity;
use crate::plan::name::Name;
use crate::plan::settings::Launcher;
use crate::plan::task_lines::Rest;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

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
    looked: Option<OwnTime>,
    /// What each node told last of its engines, and when that was heard.
    nodes: BTreeMap<String, (bool, OwnTime)>,
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

    /// A node told of its engines.
    pub fn told(&mut self, rest: Rest) {
        let Rest { node, at_rest } = rest;
        self.nodes.insert(node, (at_rest, OwnTime::now()));
    }

    /// Whether a node has told that its engines are at rest, and not too long ago.
    fn rests(&self, node: &str, limit: Duration, now: OwnTime) -> bool {
        let told = self.nodes.get(node);
        told.is_some_and(|(at_rest, heard)| *at_rest && now.since(*heard) < validity(limit))
    }

    /// Compares a look with the one before; `elsewhere` tells whether what is not seen from here is in use.
    pub fn judge(&mut self, seen: Seen, elsewhere: bool) -> Event {
        let since = self.looked.replace(seen.at);
        let (Some(before), Some(since)) = (&self.before, since) else {
            self.before = Some(seen);
            return Event::Active;
        };
        let used = elsewhere || seen.differs(before);
        let event = if used {
            Event::Active
        } else {
            Event::Idle(seen.at.since(since))
        };
        if used || seen.at.since(before.at) >= SHORTEST_SPAN {
            self.before = Some(seen);
        }
        event
    }
}

impl Supervisor<'_> {
    /// Whether the engines are tasks of a step, which may be anywhere.
    fn tasks_tell(&self) -> bool {
        matches!(self.plan.launcher, Launcher::Srun | Launcher::Mpiexec)
    }

    /// Whether an engine may be in use that only its own node can see: one whose node is not known, or has not told that its engines
    /// are at rest. Engines that are lost do nothing.
    pub(super) fn in_use_elsewhere(&self) -> bool {
        let Some(limit) = self.plan.settings.idle.filter(|_| self.tasks_tell()) else {
            return false;
        };
        let now = OwnTime::now();
        let list = &self.publisher.record().engines.list;
        let missing = self.machine.missing_engines();
        (0..self.plan.engines)
            .filter(|id| missing.binary_search(id).is_err())
            .any(|id| {
                let place = list.binary_search_by_key(&id, |engine| engine.id);
                let node = place.ok().and_then(|place| list.get(place));
                node.is_none_or(|engine| !self.activity.rests(&engine.node, limit, now))
            })
    }

    /// Looks once; what was seen comes as a notice.
    pub(super) fn look_for_use(&self) {
        // Those of a step are numbers of other nodes.
        let engines: Vec<u32> = if self.tasks_tell() {
            Vec::new()
        } else {
            let list = self.publisher.record().engines.list.iter();
            list.map(|one| one.pid).collect()
        };
        let mut running = self.children.running.keys().copied();
        let server = running.find(|pid| self.children.runs(Name::Jupyter, *pid));
        let probe = match (server, &self.children.reservation) {
            (Some(pid), Some(held)) => Some(Probe::new(self.plan, pid, held, self.kept.token())),
            _ => None,
        };
        // Without a Jupyter there is nothing that it could tell.
        let asked = self.children.reservation.is_some();
        // Without a controller nothing passes one; that its schedulers are not seen is no use.
        let schedulers = if self.children.of(Name::Controller).next().is_none() {
            Vec::new()
        } else {
            self.activity.schedulers.clone()
        };
        let sender = self.sender.clone();
        file_thread::spawn(async move {
            let jupyter = match probe {
                Some(probe) => probe.usage().await,
                None => (!asked).then(Use::default),
            };
            let exactly = |pid| (pid, process::ran_exactly(pid));
            let seen = Seen {
                at: OwnTime::now(),
                schedulers: schedulers.into_iter().map(exactly).collect(),
                ran: ran(&engines, server),
                jupyter,
            };
            let _ = sender.send(Notice::UseSeen(seen));
        });
    }
}

/// The clock ticks of engines, and of what they and Jupyter have started.
fn ran(engines: &[u32], jupyter: Option<u32>) -> Computed {
    let mut pids: BTreeSet<u32> = engines.iter().copied().collect();
    for root in engines.iter().copied().chain(jupyter) {
        pids.extend(process::descendants(root));
    }
    Computed::of(&pids)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is seen so many milliseconds after `begin`, with so many ticks of one engine.
    fn seen(begin: OwnTime, millis: u64, ticks: u64) -> Seen {
        Seen {
            at: begin.after(Duration::from_millis(millis)),
            schedulers: BTreeMap::from([(1, Some(5))]),
            ran: Computed::ticks(ticks),
            jupyter: Some(Use::default()),
        }
    }

    #[test]
    fn a_heartbeat_is_no_use_and_work_is() {
        let begin = OwnTime::now();
        assert!(!seen(begin, 60_000, 30).differs(&seen(begin, 0, 0)));
        assert!(!seen(begin, 1_000, 2).differs(&seen(begin, 0, 0)));
        assert!(seen(begin, 1_000, 4).differs(&seen(begin, 0, 0)));
        assert!(seen(begin, 60_000, 100).differs(&seen(begin, 0, 0)));
    }

    #[test]
    fn messages_kernels_and_what_is_not_seen_are_use() {
        let begin = OwnTime::now();
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
        let begin = OwnTime::now();
        let mut activity = Activity::default();
        assert_eq!(activity.judge(seen(begin, 0, 0), false), Event::Active);
        let millis = Duration::from_millis;
        assert_eq!(
            activity.judge(seen(begin, 800, 2), false),
            Event::Idle(millis(800))
        );
        // Two ticks more are four since the first look.
        assert_eq!(activity.judge(seen(begin, 1_000, 4), false), Event::Active);
    }

    #[test]
    fn what_is_not_known_to_rest_elsewhere_is_use() {
        let begin = OwnTime::now();
        let limit = Duration::from_secs(600);
        let mut activity = Activity::default();
        let _ = activity.judge(seen(begin, 0, 0), false);
        assert_eq!(activity.judge(seen(begin, 1_000, 0), true), Event::Active);
        let told = |activity: &mut Activity, at_rest| {
            let node = "node2".to_owned();
            activity.told(Rest { node, at_rest });
            activity.rests("node2", limit, OwnTime::now())
        };
        assert!(
            !activity.rests("node2", limit, OwnTime::now()),
            "it told nothing"
        );
        assert!(told(&mut activity, true));
        assert!(!activity.rests("node3", limit, OwnTime::now()));
        assert!(!told(&mut activity, false));
        assert!(told(&mut activity, true));
        let later = OwnTime::now().after(validity(limit));
        assert!(
            !activity.rests("node2", limit, later),
            "nobody is there to tell"
        );
    }
}

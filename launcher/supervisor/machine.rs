//! The state machine: every decision of the supervisor. PURE: it knows no clock, file, process or tokio; time comes in as
//! [`Event::TimeUp`], and what is to be done goes out as [`Effect`]s.
//!
//! The rules, which `machine/tests.rs` checks along every order of events to a depth:
//!  1. A service is started once all services that it waits for are ready, and never after the stop has begun.
//!  2. The job is ready when every service is ready; it is announced once.
//!  3. The stop goes in the reverse order of the start: a service is asked to end when all that were started after it are gone.
//!  4. The first reason is the one that is reported; a signal that turns out to be Slurm's word for the time limit is told as that.
//!  5. A second request to stop that insists is final: everything is killed at once.
//!  6. From every state, time limits alone end the job once it stops.
//!  7. `Finish` comes once, last, and after everything that was started has ended, was killed or was given up by name.
//!  8. Controller and Jupyter are started again when they end while the job is up: after nothing of them lives any more, a bounded
//!     number of times, and never after a stop was asked for. What its user or a client shut down is not.
//!     The same holds for each engine, or for all engines together, where that was asked for, and only once the hub has dropped their ids.
//!  9. A Jupyter that is given up leaves the engines alone, an engine the others. A controller or a set of engines that is given up ends
//!     the job, unless rule 11 keeps it.
//! 10. An engine is one process at a time: its task in the engines' step, or, once that has ended, a step of its own. The first step's
//!     end is that of the engines which are still in it, and no more.
//! 11. While the driver lives, or Jupyter does or is on its way back, nothing that happens to engines or controller ends the job.
//! 12. An end that a client asked for is no failure: where it leaves nothing to use, the job ends with code 0. What it ended is started
//!     again on request alone.
//! 13. A request to start engines again is answered once: when all are there, when nothing more is on its way, or when it cannot be.

mod causes;
mod client;
mod deadline;
mod ending;
mod engine_step;
mod engines;
mod exits;
mod gone;
mod group;
mod hindered;
mod idle;
mod lasting;
mod preemption;
mod progress;
mod registration;
mod request;
mod respawn;
mod restart;
mod running;
#[cfg(test)]
mod tests;
mod unit;
mod view;

use super::event::{Effect, End, Event, Level, Look, Stage, Timer};
use crate::plan::WantedWorld;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Process, Readiness, Service};
pub use crate::record::State;
use core::time::Duration;
use deadline::Deadline;
use engines::Engines;
use idle::Idle;
use request::Request;
pub use request::Startable;
use std::collections::{BTreeMap, BTreeSet};
use unit::Life;

/// Time for the kernel to carry out a SIGKILL, and for a sweep to find nothing left.
const KILL_PATIENCE: Duration = Duration::from_secs(3);

/// Time between an engine's leaving the hub's list and its end being noticed: the nanny reports a death in 10 ms.
const DROP_PATIENCE: Duration = Duration::from_secs(1);

/// Time between an engine's registering and its having told the size of its MPI world, which it does before.
const WORLD_PATIENCE: Duration = Duration::from_secs(3);

/// Time between srun's word that Slurm takes the job down and Slurm's signal to us.
const SIGNAL_PATIENCE: Duration = Duration::from_secs(3);

/// What the machine must know of a service.
#[derive(Clone, Debug)]
struct Rule {
    name: Name,
    after: Vec<Name>,
    /// Its processes.
    units: Vec<Unit>,
    immediate: bool,
    start_limit: Duration,
    restart_limit: Duration,
    stop_limit: Duration,
}

/// A service's life, and what is known of its processes.
#[derive(Clone, Debug, Default)]
struct Watched {
    life: Life,
    /// Processes that were started and have not ended.
    alive: BTreeSet<Unit>,
    /// What it lacked when a probe looked last: while it starts the cause, if it comes too late.
    lack: Option<String>,
    /// Whether nothing that it left runs any more, while it is being cleared away.
    swept: bool,
}

/// Where the job is in its life.
#[derive(Clone, Debug)]
enum Phase {
    Starting,
    Up,
    Stopping { end: End, hurry: bool },
    LastSweep { end: End },
    Finished,
}

/// The state machine of one job.
#[derive(Clone, Debug)]
pub struct Machine {
    rules: Vec<Rule>,
    start_limit: Duration,
    /// How much of it was gone before the machine began: programs and versions were looked for.
    start_gone: Duration,
    phase: Phase,
    services: BTreeMap<Name, Watched>,
    engines: Engines,
    /// The MPI world that engines are expected to see, until one has told what it sees.
    world: Option<WantedWorld>,
    deadline: Deadline,
    idle: Idle,
    /// Whether a client has asked the hub to end.
    hub_asked: bool,
    /// The request to start engines again that has not been answered.
    request: Option<Request>,
}

impl Machine {
    /// A machine for these services, in their order of start; the whole start may take `start_limit`.
    #[must_use]
    pub fn new(services: &[Service], start_limit: Duration) -> Self {
        let rules: Vec<Rule> = services
            .iter()
            .map(|service| Rule {
                name: service.name,
                after: service.after.clone(),
                units: (0..)
                    .zip(&service.processes)
                    .map(|(index, _)| service.unit(index))
                    .collect(),
                immediate: service.ready == Readiness::Started,
                start_limit: service.start_limit,
                restart_limit: service.restart_limit,
                stop_limit: service.stop_limit,
            })
            .collect();
        let engines = services
            .iter()
            .find_map(|service| match service.ready {
                Readiness::Engines {
                    expected,
                    minimum,
                    step,
                    world,
                } => {
                    let mut engines = Engines::new(expected, minimum, step, world);
                    let starter = service.processes.first();
                    engines.starter = starter.map(Process::name).unwrap_or_default();
                    Some(engines)
                }
                _ => None,
            })
            .unwrap_or_default();
        let services = rules
            .iter()
            .map(|rule| (rule.name, Watched::default()))
            .collect();
        Self {
            rules,
            start_limit,
            start_gone: Duration::ZERO,
            phase: Phase::Starting,
            services,
            engines,
            world: None,
            deadline: Deadline::default(),
            idle: Idle::default(),
            hub_asked: false,
            request: None,
        }
    }

    /// The same, with so much of the limit gone already.
    #[must_use]
    pub fn begun_before(mut self, gone: Duration) -> Self {
        self.start_gone = gone;
        self
    }

    /// The same, with the stop beginning so long before the end of the job's time; `None` is 60 s, or a tenth of a
    /// short limit.
    #[must_use]
    pub fn stopping_before_the_end(mut self, stop_before: Option<Duration>) -> Self {
        self.deadline.stop_before = stop_before;
        self
    }

    /// The same, with engines that are expected to see this MPI world.
    #[must_use]
    pub fn expecting_a_world(mut self, world: Option<WantedWorld>) -> Self {
        self.world = world;
        self
    }

    /// Hears one event and says what to do.
    #[must_use]
    pub fn on(&mut self, event: Event) -> Vec<Effect> {
        let mut out = Vec::new();
        match self.phase {
            Phase::Starting | Phase::Up => {
                self.while_running(event, &mut out);
                self.settle_request(&mut out);
            }
            Phase::Stopping { .. } | Phase::LastSweep { .. } => self.while_stopping(&event, &mut out),
            Phase::Finished => {}
        }
        out
    }

    /// Takes a process out of its service's living; false if it was not there.
    fn forget(&mut self, unit: Unit) -> bool {
        self.services
            .get_mut(&unit.service())
            .is_some_and(|service| service.alive.remove(&unit))
    }

    /// Whether a service has processes that live.
    fn lives(&self, name: Name) -> bool {
        self.services
            .get(&name)
            .is_some_and(|service| !service.alive.is_empty())
    }

    /// Whether every service is ready.
    fn all_ready(&self) -> bool {
        let mut services = self.services.values();
        services.all(|service| service.life.stage == Stage::Ready)
    }

    /// Whether the job has not been ready yet.
    fn starting(&self) -> bool {
        matches!(self.phase, Phase::Starting)
    }
}

/// A line of the job's course, shown and kept in the record's timeline.
fn step_line(out: &mut Vec<Effect>, text: impl Into<String>) {
    let text = text.into();
    out.push(Effect::Mark(text.clone()));
    out.push(Effect::Say(Level::Step, text));
}

/// A line that a person should look at.
fn warning(out: &mut Vec<Effect>, text: impl Into<String>) {
    out.push(Effect::Say(Level::Warning, text.into()));
}

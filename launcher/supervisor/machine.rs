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
//! 14. The hub is told of the end of each engine, once, and before that engine is started again.

mod deadline;
mod engine_step;
mod engines;
mod gone;
mod idle;
mod respawn;
mod stop;
mod unit;

use super::event::{Effect, End, Event, Level, Look, Stage, Timer};
use crate::failure::{Failure, Kind};
use crate::plan::WantedWorld;
use crate::plan::name::{Name, Unit};
use crate::plan::service::{Process, Readiness, Service};
pub use crate::record::State;
use crate::record::moment;
use core::mem::take;
use core::time::Duration;
use deadline::Deadline;
use engines::Engines;
pub use engines::Startable;
use idle::Idle;
use respawn::Request;
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
    /// Whether it was said that restarts are on hold.
    on_hold: bool,
    /// Whether a client has asked the hub to end.
    hub_asked: bool,
    /// The request to start engines again that has not been answered.
    request: Option<Request>,
    /// Whether Slurm may take all down.
    in_slurm: bool,
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
            on_hold: false,
            hub_asked: false,
            request: None,
            in_slurm: false,
        }
    }

    /// The same, in a job of Slurm's.
    #[must_use]
    pub fn in_slurm(mut self, in_slurm: bool) -> Self {
        self.in_slurm = in_slurm;
        self
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
                self.tell_the_hub(&mut out);
            }
            Phase::Stopping { .. } | Phase::LastSweep { .. } => {
                self.while_stopping(&event, &mut out);
            }
            Phase::Finished => {}
        }
        out
    }

    /// Tells the hub which engines have ended, before anything else: what starts again under the id of one is told from it by that.
    fn tell_the_hub(&mut self, out: &mut Vec<Effect>) {
        let ended = take(&mut self.engines.untold);
        if !ended.is_empty() {
            out.insert(0, Effect::TellHub(ended));
        }
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

/// From the start to the first reason to stop.
impl Machine {
    /// An event while the job starts or is up.
    fn while_running(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Begin => {
                let left = self.start_limit.saturating_sub(self.start_gone);
                out.push(Effect::SetTimer(Timer::Start, left));
                self.advance(out);
            }
            Event::SpawnFailed { unit, failure } => self.spawn_failed(unit, failure, out),
            Event::OnHold { unit, why } => self.put_on_hold(unit, &why, out),
            Event::NeverStarted(unit) if self.is_being_cleared(unit.service()) => {
                self.forget(unit);
                self.clear(unit.service(), out);
            }
            Event::NeverStarted(unit) => {
                let failure = Failure::service(format!("{unit} was not started"));
                self.spawn_failed(unit, failure, out);
            }
            Event::NotForked if self.stage(Name::Engines) == Stage::Starting => {
                out.push(first_start(Name::Engines));
            }
            Event::Exited {
                unit,
                pid,
                exit,
                tail,
                memory,
            } => {
                if self.forget(unit) {
                    match self.stage(unit.service()) {
                        Stage::Draining | Stage::Clearing => self.clear(unit.service(), out),
                        // Given up before it ended: it was told.
                        Stage::Ended => {}
                        _ => self.exited(unit, pid, &exit, &tail, memory.as_ref(), out),
                    }
                }
            }
            Event::Ready { service, detail } => {
                if self.stage(service) == Stage::Starting {
                    let again = if self.starting() { "" } else { "again " };
                    let told = moment::ready(service, format!("{again}{detail}").trim_end());
                    step_line(out, told);
                    self.became_ready(service, out);
                    self.became_ready_again(service, out);
                }
            }
            Event::Lacks { service, what } => self.lacks(service, what),
            Event::Hindered { service, what } => self.hinder(service, what, out),
            Event::Unhindered { service, detail } => self.has_all(service, &detail, out),
            Event::Broken { service, failure } => {
                if matches!(self.stage(service), Stage::Starting | Stage::Ready) {
                    if !(self.hub_asked && service == Name::Controller) {
                        out.push(Effect::ShowLog(Unit::from(service)));
                    }
                    let failure = self.of_now(failure);
                    self.mend_or_fail(service, failure, out);
                }
            }
            Event::Registered(ids) => self.listed(ids, out),
            Event::Placed(report) => self.placed(report),
            Event::World(world) => self.world_seen(world, out),
            Event::SrunSaid(words) => self.srun_said(words, out),
            Event::SrunWaits(why) => self.srun_waits(why, out),
            Event::TimeUp(timer) => self.time_up(timer, out),
            Event::Progress {
                unit,
                generation,
                seen,
            } => self.progress(unit, generation, seen, out),
            Event::StopAsked { by, .. } => self.asked_to_stop(&by, out),
            Event::TimeLeft { left, limit } => self.time_left(left, limit, out),
            Event::NoTimeLimit => self.no_time_limit(),
            // Slurm's signal is on the way; what was to be forked has become ready, or was given up.
            Event::SlurmKillsIn(_) | Event::Cancelled | Event::NotForked => {}
            Event::Superseded(by) => self.superseded(by, out),
            Event::Taken(taken) => self.taken(taken, out),
            Event::Active => self.in_use(out),
            Event::Idle(since) => self.not_in_use(since, out),
            Event::Swept(service) => self.swept(service, out),
            Event::HubHears => self.engines.hub_hears = true,
            Event::ClientAsked(whom) => self.client_asked(whom, out),
            Event::RestartAsked { request, all } => self.restart_asked(request, all, out),
        }
    }

    /// Starts every service whose turn it is, and announces the job once all are ready.
    fn advance(&mut self, out: &mut Vec<Effect>) {
        let mut immediate = Vec::new();
        for rule in self.rules.clone() {
            let due = self.stage(rule.name) == Stage::Waiting
                && rule
                    .after
                    .iter()
                    .all(|name| self.stage(*name) == Stage::Ready);
            if !due {
                continue;
            }
            if let Some(service) = self.services.get_mut(&rule.name) {
                service.alive = rule.units.iter().copied().collect();
            }
            if rule.immediate {
                self.set_stage(rule.name, Stage::Ready);
                immediate.push(rule.name);
            } else {
                out.push(Effect::Mark(moment::started(rule.name)));
                out.push(first_start(rule.name));
                self.enter(rule.name, Stage::Starting, rule.start_limit, out);
            }
        }
        if self.starting() && self.all_ready() {
            self.phase = Phase::Up;
            out.push(Effect::Mark(moment::READY.to_owned()));
            out.push(Effect::Announce);
            self.begin_to_look(out);
        }
        // After the announcement: a driver's own output follows it.
        out.extend(immediate.into_iter().map(first_start));
    }

    fn became_ready(&mut self, service: Name, out: &mut Vec<Effect>) {
        if let Some(found) = self.services.get_mut(&service) {
            found.life.stage = Stage::Ready;
            found.lack = None;
        }
        self.advance(out);
    }

    fn time_up(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Start if self.starting() => {
                if self.stage(Name::Engines) == Stage::Starting && self.engines.enough() {
                    self.engines_ready(out);
                }
                let late = self
                    .rules
                    .iter()
                    .map(|rule| rule.name)
                    .find(|name| self.stage(*name) == Stage::Starting);
                if let (true, Some(name)) = (self.starting(), late) {
                    self.too_late(name, self.start_limit, out);
                }
            }
            Timer::Stage {
                unit,
                generation,
                stage,
            } => self.stage_is_over(unit, generation, stage, out),
            Timer::Recount { generation } => self.recounted(generation, out),
            Timer::Look => out.push(Effect::Look(Look::Use)),
            Timer::Dropped => self.say_dropped(out),
            Timer::JobEnds { generation } if generation == self.generation(Unit::EngineGroup) => {
                self.slurm_says_nothing(out);
            }
            Timer::Heeded { engine, generation } => self.wish_is_over(engine, generation),
            Timer::World { generation } if generation == self.generation(Unit::EngineGroup) => {
                self.world = None;
                self.settle_engines(out);
            }
            other => self.deadline_timer(other, out),
        }
    }

    /// A service is not ready within its limit, or the job within its own.
    fn too_late(&mut self, name: Name, limit: core::time::Duration, out: &mut Vec<Effect>) {
        let seconds = limit.as_secs_f64();
        let failure = if name == Name::Engines {
            self.engines_too_late(seconds, out)
        } else {
            out.push(Effect::ShowLog(Unit::from(name)));
            let mut failure = Failure::not_ready(format!(
                "{name} was not ready within {seconds} s"
            ))
            .hint(format!(
                "its last lines are above; --start-timeout {name}=DURATION gives it more time"
            ));
            failure.cause = self
                .services
                .get(&name)
                .and_then(|found| found.lack.clone());
            failure.kind = self.kind_of_now();
            failure
        };
        self.mend_or_fail(name, failure, out);
    }

    /// The kind that fits: not ready before the job was, a service's failure after it.
    fn kind_of_now(&self) -> Kind {
        if self.starting() {
            Kind::NotReady
        } else {
            Kind::Service
        }
    }

    /// A probe knows its service, and not whether the whole job was ready.
    fn of_now(&self, mut failure: Failure) -> Failure {
        if matches!(failure.kind, Kind::NotReady | Kind::Service) {
            failure.kind = self.kind_of_now();
        }
        failure
    }
}

/// Starts a service for the first time.
fn first_start(name: Name) -> Effect {
    Effect::Start {
        unit: name.into(),
        again: false,
    }
}

/// What others see of the machine.
impl Machine {
    /// The state as the record tells it.
    #[must_use]
    pub fn state(&self) -> State {
        match &self.phase {
            Phase::Starting => State::Starting,
            Phase::Up if self.engines.complete() && self.all_ready() && self.unhindered() => {
                State::Ready
            }
            Phase::Up => State::Degraded,
            Phase::Stopping { .. } | Phase::LastSweep { .. } => State::Stopping,
            Phase::Finished => State::Ended,
        }
    }

    /// The first reason, once there is one.
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match &self.phase {
            Phase::Stopping { end, .. } | Phase::LastSweep { end } => Some(&end.reason),
            _ => None,
        }
    }

    /// What is still waited for, as the live line shows it: `engines 3/4`, `jupyter`.
    #[must_use]
    pub fn pending(&self) -> Vec<String> {
        if !self.starting() {
            return Vec::new();
        }
        self.rules
            .iter()
            .filter(|rule| self.stage(rule.name) == Stage::Starting)
            .map(|rule| match rule.name {
                Name::Engines => format!(
                    "engines {}/{}",
                    self.engines.counted(),
                    self.engines.expected()
                ),
                name => name.to_string(),
            })
            .collect()
    }

    /// How many engines count as there.
    #[must_use]
    pub fn engines_there(&self) -> u32 {
        u32::try_from(self.engines.counted()).unwrap_or(u32::MAX)
    }

    /// Engines in the hub's list that others started.
    #[must_use]
    pub fn guests(&self) -> u32 {
        u32::try_from(self.engines.guests()).unwrap_or(u32::MAX)
    }

    /// Ids of engines that do not count: never registered, dropped or lost.
    #[must_use]
    pub fn missing_engines(&self) -> Vec<u32> {
        self.engines.ids(|engine| !engine.counts())
    }
}

/// A service that runs and lacks something that it needs, as far as that is seen: the job is degraded until it has that again.
impl Machine {
    /// What a service that starts still lacks: the cause, if it is late. What its probe misses later hinders nothing.
    fn lacks(&mut self, service: Name, what: String) {
        if let Some(found) = self.services.get_mut(&service)
            && found.life.stage != Stage::Ready
        {
            found.lack = (!what.is_empty()).then_some(what);
        }
    }

    /// A service that is ready lacks something.
    fn hinder(&mut self, service: Name, what: String, out: &mut Vec<Effect>) {
        let Some(found) = self.services.get_mut(&service) else {
            return;
        };
        if found.life.stage == Stage::Ready {
            warning(
                out,
                format!("{service}: {what}; the job is degraded until that is over"),
            );
            out.push(Effect::Mark(format!("{service}: {what}")));
            found.lack = Some(what);
        }
    }

    /// A service that is ready lacks nothing any more.
    fn has_all(&mut self, service: Name, detail: &str, out: &mut Vec<Effect>) {
        let Some(found) = self.services.get_mut(&service) else {
            return;
        };
        if found.life.stage == Stage::Ready && found.lack.take().is_some() {
            step_line(out, format!("{service} ready again {detail}").trim_end());
        }
    }

    /// What a service lacks although it is ready.
    #[must_use]
    pub fn hindered(&self, service: Name) -> Option<&str> {
        let found = self.services.get(&service)?;
        let ready = found.life.stage == Stage::Ready;
        found.lack.as_deref().filter(|_| ready)
    }

    /// Whether no service lacks anything.
    fn unhindered(&self) -> bool {
        self.services
            .keys()
            .all(|name| self.hindered(*name).is_none())
    }
}

#[cfg(test)]
mod tests;

//! The life that controller, Jupyter, each engine and all engines together have alike: one kind of stages, of counting, and one table of
//! what comes when the time of a stage is over. PURE.
//!
//! docs/design/restart.md explains the design.

use super::gone::Policy;
use super::{
    Effect, End, KILL_PATIENCE, Look, Machine, Phase, Stage, Timer, Watched, step_line, warning,
};
use crate::failure::Failure;
use crate::plan::name::{Name, Unit};
use core::time::Duration;
use std::collections::BTreeSet;

/// How often a unit is started again before it is given up, and the pause before each: the first end is most often an accident, and the
/// last is a disk or a memory that is full and may take a while.
const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// So often a unit is started again.
pub(super) const TRIES: usize = PAUSES.len();

/// The pause before it is tried again to start what is on hold.
const ON_HOLD: Duration = Duration::from_secs(1);

/// A unit that was started again and works for so long has one of its tries back, and so on.
const HEALTHY: Duration = Duration::from_secs(60);

/// What comes of a process that does not end, while the job goes on, and while it ends.
const WAITS: &str = "its replacement waits for it to end";
pub(super) const WITHOUT: &str = "the shutdown continues without waiting for it";

/// Where a unit is, and how often it was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Life {
    /// Where it is.
    pub stage: Stage,
    /// Which of its starts this is, or comes next: 0 is the first.
    pub generation: u32,
    /// Ends since it was last well for long.
    pub attempts: u32,
    /// By how much the limit of its start was put off, because it got on.
    pub more: Duration,
    /// Whether it does not start again when what is left of it is gone, unless somebody asks for it.
    pub given_up: bool,
}

impl Life {
    /// Whether so many ends are too many.
    pub fn has_used_up(attempts: u32) -> bool {
        attempts as usize > TRIES
    }

    /// The pause before its next start.
    pub fn pause(&self) -> Duration {
        let mut pauses = PAUSES.iter().take(self.attempts.max(1) as usize);
        pauses.next_back().copied().unwrap_or_default()
    }
}

impl Machine {
    /// A unit's life; a service that the plan has not has none.
    pub(super) fn life(&self, unit: impl Into<Unit>) -> Option<&Life> {
        match unit.into() {
            Unit::Engine(id) => self.engines.get(id).map(|engine| &engine.life),
            unit => self.services.get(&unit.service()).map(|found| &found.life),
        }
    }

    /// The same, to be changed.
    pub(super) fn life_mut(&mut self, unit: impl Into<Unit>) -> Option<&mut Life> {
        match unit.into() {
            Unit::Engine(id) => self.engines.get_mut(id).map(|engine| &mut engine.life),
            unit => {
                let found = self.services.get_mut(&unit.service());
                found.map(|found| &mut found.life)
            }
        }
    }

    /// Which of a unit's starts this is, or comes next.
    pub(super) fn generation(&self, unit: Unit) -> u32 {
        self.life(unit).map_or(0, |life| life.generation)
    }

    /// The same of an engine, whether it was started again by itself or with all.
    pub(super) fn generation_of(&self, engine: u32) -> u32 {
        self.generation(Unit::Engine(engine)) + self.generation(Unit::EngineGroup)
    }

    /// Where a unit is in its life; what the plan has not has ended.
    pub(super) fn stage(&self, unit: impl Into<Unit>) -> Stage {
        self.life(unit).map_or(Stage::Ended, |life| life.stage)
    }

    /// Moves a unit to another stage of its life.
    pub(super) fn set_stage(&mut self, unit: impl Into<Unit>, stage: Stage) {
        if let Some(life) = self.life_mut(unit) {
            life.stage = stage;
        }
    }

    /// Whether a unit is in a stage, by this very start.
    pub(super) fn is_at(&self, unit: Unit, stage: Stage, generation: u32) -> bool {
        self.life(unit)
            .is_some_and(|life| life.stage == stage && life.generation == generation)
    }

    /// A unit may be in its stage for so long.
    pub(super) fn limit_stage(
        &self,
        unit: impl Into<Unit>,
        limit: Duration,
        out: &mut Vec<Effect>,
    ) {
        let unit = unit.into();
        if let Some(Life {
            stage, generation, ..
        }) = self.life(unit).copied()
        {
            let timer = Timer::Stage {
                unit,
                generation,
                stage,
            };
            out.push(Effect::SetTimer(timer, limit));
        }
    }

    /// Moves a unit to another stage, in which it may be for so long.
    pub(super) fn enter(
        &mut self,
        unit: impl Into<Unit>,
        stage: Stage,
        limit: Duration,
        out: &mut Vec<Effect>,
    ) {
        let unit = unit.into();
        self.set_stage(unit, stage);
        self.limit_stage(unit, limit, out);
    }

    /// A unit that was started again works: after a while one of its ends counts no more.
    pub(super) fn works_again(&mut self, unit: impl Into<Unit>, out: &mut Vec<Effect>) {
        self.on_hold = false;
        self.limit_stage(unit, HEALTHY, out);
    }

    /// A unit has been in a stage of its life for as long as it may. The table of what comes then, for all units.
    pub(super) fn stage_is_over(
        &mut self,
        unit: Unit,
        generation: u32,
        stage: Stage,
        out: &mut Vec<Effect>,
    ) {
        let of_the_stop = matches!(stage, Stage::Terminating | Stage::Killing | Stage::Sweeping);
        let stops = !matches!(self.phase, Phase::Starting | Phase::Up);
        if !self.is_at(unit, stage, generation) || of_the_stop != stops {
            return;
        }
        let service = Some(unit.service());
        match stage {
            Stage::Starting => self.start_is_late(unit, generation, out),
            Stage::Ready => self.was_well(unit, out),
            Stage::Draining => {
                out.push(Effect::EndSteps);
                self.clear_away(unit, out);
            }
            // Nothing forces a decision: what else there is goes on, engines wait for a controller, and end if it takes too long.
            Stage::Clearing => {
                let then = WAITS;
                out.push(Effect::Look(Look::Survivors { service, then }));
            }
            Stage::Resting => self.rested(unit, out),
            Stage::Due => self.set_is_not_forgotten(out),
            Stage::Terminating => {
                let killed = "killed after its share of --stop-timeout";
                if unit == Unit::EngineGroup && self.engines.step && self.engines.all_have_left() {
                    // Only what had started them is left: srun of 26.05 waits for slurmctld, where that is down.
                    let starter = &self.engines.starter;
                    step_line(
                        out,
                        format!("the engines ended, but {starter} did not: {killed}"),
                    );
                } else {
                    warning(out, format!("{unit} did not end when asked: {killed}"));
                }
                self.kill(unit, out);
            }
            Stage::Killing | Stage::Sweeping => {
                let then = WITHOUT;
                out.push(Effect::Look(Look::Survivors { service, then }));
                self.set_stage(unit, Stage::Ended);
                self.stop_next(out);
            }
            Stage::Waiting | Stage::Ended => {}
        }
    }

    /// A unit is not ready within its limit.
    fn start_is_late(&mut self, unit: Unit, generation: u32, out: &mut Vec<Effect>) {
        if unit == Unit::EngineGroup && self.engines.enough() {
            self.engines_ready(out);
        } else if self.starting() {
            let name = unit.service();
            self.too_late(name, self.limit_of_start(name), out);
        } else {
            out.push(Effect::Look(Look::Progress { unit, generation }));
        }
    }

    /// A unit that was started again has worked for long.
    fn was_well(&mut self, unit: Unit, out: &mut Vec<Effect>) {
        if let Some(life) = self.life_mut(unit) {
            life.attempts = life.attempts.saturating_sub(1);
            if life.attempts > 0 {
                self.limit_stage(unit, HEALTHY, out);
            }
        }
    }

    /// The pause before a unit's next start is over.
    fn rested(&mut self, unit: Unit, out: &mut Vec<Effect>) {
        match unit {
            Unit::Engine(_) => {
                self.set_stage(unit, Stage::Due);
                self.replace_engines(out);
            }
            Unit::EngineGroup if self.engines.step => self.set_rested(out),
            Unit::EngineGroup => self.each_rested(out),
            _ => self.restart(unit.service(), out),
        }
    }

    /// Kills what is left of a unit that is lost.
    pub(super) fn clear_away(&mut self, unit: impl Into<Unit>, out: &mut Vec<Effect>) {
        let unit = unit.into();
        out.push(Effect::Kill(unit));
        out.push(Effect::Sweep {
            service: Some(unit.service()),
            limit: None,
        });
        self.enter(unit, Stage::Clearing, KILL_PATIENCE, out);
    }

    /// Nothing that a service left runs any more.
    pub(super) fn swept(&mut self, service: Option<Name>, out: &mut Vec<Effect>) {
        if let Some(name) = service
            && self.is_being_cleared(name)
            && let Some(service) = self.services.get_mut(&name)
        {
            service.swept = true;
            self.clear(name, out);
        }
    }

    /// Whether a service is lost, and what is left of it is not gone.
    pub(super) fn is_being_cleared(&self, name: Name) -> bool {
        matches!(self.stage(name), Stage::Draining | Stage::Clearing)
    }

    /// Goes on once nothing of a service that died is left: one process that lives on would keep its ports.
    pub(super) fn clear(&mut self, name: Name, out: &mut Vec<Effect>) {
        let Some(Watched {
            life, alive, swept, ..
        }) = self.services.get_mut(&name)
        else {
            return;
        };
        if !*swept || !alive.is_empty() {
            return;
        }
        if life.given_up {
            life.stage = Stage::Ended;
            return;
        }
        life.stage = Stage::Resting;
        let pause = life.pause();
        if pause.is_zero() {
            self.rested(name.into(), out);
        } else {
            self.limit_stage(name, pause, out);
        }
    }

    /// Starts a service again.
    pub(super) fn restart(&mut self, name: Name, out: &mut Vec<Effect>) {
        let limit = self.limit_of_start(name);
        let rule = self.rules.iter().find(|rule| rule.name == name);
        let units = rule.map(|rule| rule.units.iter().copied().collect());
        let Some(service) = self.services.get_mut(&name) else {
            return;
        };
        service.life.more = Duration::ZERO;
        service.lack = None;
        service.alive = units.unwrap_or_default();
        out.push(Effect::Start {
            unit: name.into(),
            again: true,
        });
        self.enter(name, Stage::Starting, limit, out);
    }

    /// A unit was not started, because it could not write its log: that costs it no try, and is tried again soon.
    pub(super) fn put_on_hold(&mut self, unit: Unit, why: &str, out: &mut Vec<Effect>) {
        if !self.forget(unit) {
            return;
        }
        if self.is_being_cleared(unit.service()) {
            return self.clear(unit.service(), out);
        }
        if let Some(id) = unit.engine() {
            self.engines.lose(&[id]);
        }
        if let Some(life) = self.life_mut(unit) {
            life.generation += 1;
        }
        if !core::mem::replace(&mut self.on_hold, true) {
            let text = format!("{why}; restarts are on hold until the file system recovers");
            warning(out, text);
        }
        self.enter(unit, Stage::Resting, ON_HOLD, out);
    }

    /// How long a service's start may take.
    pub(super) fn limit_of_start(&self, name: Name) -> Duration {
        let rule = self.rules.iter().find(|rule| rule.name == name);
        rule.map_or(self.start_limit, |rule| {
            if self.starting() {
                rule.start_limit
            } else {
                rule.restart_limit
            }
        })
    }
}

/// How long the hub's list of engines is not believed after a restart: it grows as the hub reads it, and it is looked at every
/// 2 s.
const RECOUNT: Duration = Duration::from_secs(3);

/// Controller and Jupyter are started again when they end while the job is up: the engines hold the data, and all around them
/// can be replaced.
impl Machine {
    /// A service cannot work any more: it is started again where that is possible, or the job ends.
    pub(super) fn mend_or_fail(&mut self, name: Name, failure: Failure, out: &mut Vec<Effect>) {
        let mendable = self.policy(name.into()) == Policy::Restart;
        if name == Name::Controller && self.hub_asked {
            return self.shut_down(name, out);
        }
        let goes_on = self.cluster_works();
        let Some(service) = self.services.get_mut(&name).filter(|_| mendable) else {
            return self.gone_for_good(name, End::of(failure), out);
        };
        let next = service.life.attempts + 1;
        let given_up = Life::has_used_up(next);
        if given_up && !(name == Name::Jupyter && goes_on) {
            return self.give_up(name, failure, out);
        }
        service.swept = false;
        service.life.attempts = next;
        service.life.given_up = given_up;
        service.life.generation += 1;
        if name == Name::Controller {
            self.disbelieve_the_hub();
        }
        let what = if given_up {
            format!("it was restarted {TRIES} times: the job continues as cluster-only")
        } else {
            let who = if name == Name::Engines {
                "the whole set"
            } else {
                "it"
            };
            format!("restarting {who} ({next} of {TRIES})")
        };
        warning(out, format!("{failure}; {what}"));
        if !given_up {
            warning(out, lost_with(name));
        }
        out.push(Effect::Mark(format!("{name} ended: {failure}")));
        if given_up {
            out.push(Effect::GiveUp(name.into()));
        }
        if name == Name::Engines {
            self.end_the_set(out);
        } else {
            self.clear_away(name, out);
        }
    }

    /// This service has ended too often.
    fn give_up(&mut self, name: Name, failure: Failure, out: &mut Vec<Effect>) {
        let times = format!("restarted {TRIES} times and ended each time");
        let text = if name == Name::Engines {
            format!("the engines were {times}")
        } else {
            format!("{name} was {times}")
        };
        let hint = "see its log; a full disk or exhausted memory would make every restart fail";
        let failure = Failure::service(text).because(failure).hint(hint);
        self.gone_for_good(name, End::of(failure), out);
    }

    /// A service is ready: not for the first time?
    pub(super) fn became_ready_again(&mut self, name: Name, out: &mut Vec<Effect>) {
        let generation = self.generation(name.into());
        if generation == 0 {
            return;
        }
        self.works_again(name, out);
        if name == Name::Controller {
            out.push(Effect::SetTimer(Timer::Recount { generation }, RECOUNT));
        }
    }

    /// The hub's engine file changed. While the controller is being replaced it tells nothing of the engines.
    pub(super) fn listed(&mut self, ids: BTreeSet<u32>, out: &mut Vec<Effect>) {
        match &mut self.engines.recounted {
            Some(recounted) => *recounted = ids,
            None => self.registered(&ids, out),
        }
    }

    /// Whether the hub's list tells which engines there are: not while the controller is being replaced.
    #[must_use]
    pub fn believes_the_hub(&self) -> bool {
        self.engines.recounted.is_none()
    }

    /// Engines whose end is known.
    #[must_use]
    pub fn lost_engines(&self) -> BTreeSet<u32> {
        self.engines.ids(|engine| engine.lost).into_iter().collect()
    }

    /// A controller that was started again has had the time to tell which engines it knows.
    pub(super) fn recounted(&mut self, generation: u32, out: &mut Vec<Effect>) {
        if !self.is_at(Unit::Controller, Stage::Ready, generation) {
            return;
        }
        if let Some(ids) = self.engines.recounted.take() {
            let known = ids.len();
            step_line(out, format!("the hub knows {known} engines again"));
            self.registered(&ids, out);
        }
        self.replace_engines(out);
        self.start_the_set(out);
    }
}

/// What no restart brings back.
fn lost_with(name: Name) -> &'static str {
    match name {
        Name::Jupyter => {
            "jupyter's kernels ended with it: variables in the engines are kept, those in kernels are lost"
        }
        Name::Engines => "what the engines had in memory is lost",
        _ => {
            "engines keep running with their variables; tasks in transit and all unfinished tasks of load-balanced views are lost: submit those again"
        }
    }
}

/// Between two looks whether such a start still makes progress.
const AGAIN: Duration = Duration::from_secs(10);

/// So many times its limit a start may take as long as it makes progress. Engines that wait for a controller decide by themselves how long.
const MOST: u32 = 10;

/// A service or engine that is started again and is not ready in time: on a machine that is only slow it is left to go on.
impl Machine {
    /// It was looked whether a start that is late makes progress: then it has more time, and is a failure otherwise.
    pub(super) fn progress(
        &mut self,
        unit: Unit,
        generation: u32,
        seen: Option<String>,
        out: &mut Vec<Effect>,
    ) {
        if !self.is_at(unit, Stage::Starting, generation) {
            return;
        }
        let limit = self.limit_of_start(unit.service());
        let Some(life) = self.life_mut(unit) else {
            return;
        };
        let more = &mut life.more;
        let gone = limit + *more;
        let (Some(seen), true) = (seen, gone < limit * MOST) else {
            return match unit {
                Unit::Engine(id) => self.engine_too_late(id, gone, out),
                _ => self.too_late(unit.service(), gone, out),
            };
        };
        let first = more.is_zero();
        *more += AGAIN;
        if first {
            let (seconds, most) = (limit.as_secs_f64(), (limit * MOST).as_secs_f64());
            warning(
                out,
                format!(
                    "{unit} is not ready after {seconds} s, but is making progress: {seen}; it has up to {most} s"
                ),
            );
        }
        self.limit_stage(unit, AGAIN, out);
    }
}

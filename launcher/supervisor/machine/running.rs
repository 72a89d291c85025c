//! From the start to the first reason to stop. PURE.

use super::{Effect, Event, Look, Machine, Phase, Stage, Timer, step_line};
use crate::failure::{Failure, Kind};
use crate::plan::name::{Name, Unit};
use crate::record::moment;

impl Machine {
    /// An event while the job starts or is up.
    pub(super) fn while_running(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Begin => {
                let left = self.start_limit.saturating_sub(self.start_gone);
                out.push(Effect::SetTimer(Timer::Start, left));
                self.advance(out);
            }
            Event::SpawnFailed { unit, failure } => self.spawn_failed(unit, failure, out),
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
            Event::Cancelled | Event::SlurmKillsIn(_) | Event::NotForked => {}
            Event::Superseded(by) => self.superseded(by, out),
            Event::Preempted(preempted) => self.preempted(preempted, out),
            Event::Active => self.in_use(out),
            Event::Idle(since) => self.not_in_use(since, out),
            Event::Swept(service) => self.swept(service, out),
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

    pub(super) fn became_ready(&mut self, service: Name, out: &mut Vec<Effect>) {
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
            Timer::JobEnds => self.slurm_says_nothing(out),
            Timer::Heeded { engine } => self.wish_is_over(engine),
            Timer::World => {
                self.world = None;
                self.settle_engines(out);
            }
            other => self.deadline_timer(other, out),
        }
    }

    /// A service is not ready within its limit, or the job within its own.
    pub(super) fn too_late(
        &mut self,
        name: Name,
        limit: core::time::Duration,
        out: &mut Vec<Effect>,
    ) {
        let seconds = limit.as_secs_f64();
        let failure = if name == Name::Engines {
            self.engines_too_late(seconds, out)
        } else {
            out.push(Effect::ShowLog(Unit::from(name)));
            let mut failure = Failure::not_ready(format!(
                "{name} was not ready within {seconds} s"
            ))
            .hint(format!(
                "the last thing it did is above; more time: --start-timeout {name}=DURATION"
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
    pub(super) fn kind_of_now(&self) -> Kind {
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

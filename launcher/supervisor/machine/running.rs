//! From the start to the first reason to stop. PURE.

use super::{Effect, Event, Machine, Phase, Stage, Timer, step_line};
use crate::failure::{Failure, Kind};
use crate::plan::name::{Name, ProcessId};

impl Machine {
    /// An event while the job starts or is up.
    pub(super) fn step_running(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Begin => {
                let left = self.start_limit.saturating_sub(self.start_gone);
                out.push(Effect::SetTimer(Timer::Start, left));
                self.advance(out);
            }
            Event::SpawnFailed { process, failure } => self.spawn_failed(process, failure, out),
            Event::Exited {
                process,
                pid,
                exit,
                tail,
                memory,
            } => {
                if self.forget(process.service, process.index) {
                    match self.stage(process.service) {
                        Stage::Clearing => self.clear(process.service, out),
                        // Given up before it ended: it was told.
                        Stage::Ended => {}
                        _ => self.exited(process, pid, &exit, &tail, memory.as_ref(), out),
                    }
                }
            }
            Event::Ready { service, detail } => {
                if self.stage(service) == Stage::Starting {
                    let again = if self.starting() { "" } else { "again " };
                    step_line(out, format!("{service} ready {again}{detail}").trim_end());
                    self.became_ready(service, out);
                    self.became_ready_again(service, out);
                } else {
                    self.has_all(service, &detail, out);
                }
            }
            Event::Lacks { service, what } => self.lacks(service, what, out),
            Event::Broken { service, failure } => {
                if matches!(self.stage(service), Stage::Starting | Stage::Ready) {
                    if !(self.hub_asked && service == Name::Controller) {
                        out.push(Effect::ShowLog(first_process(service)));
                    }
                    let failure = self.of_now(failure);
                    self.mend_or_fail(service, failure, out);
                }
            }
            Event::Registered(ids) => self.listed(ids, out),
            Event::Placed(report) => self.placed(report, out),
            Event::World(world) => self.world_seen(world, out),
            Event::SrunSaid(words) => self.srun_said(words, out),
            Event::SrunWaits(why) => self.srun_waits(why, out),
            Event::TimeUp(timer) => self.time_up(timer, out),
            Event::Progress { timer, seen } => self.progress(timer, seen, out),
            Event::StopAsked { by, .. } => self.asked_to_stop(&by, out),
            Event::TimeLeft { left, limit } => self.time_left(left, limit, out),
            Event::NoTimeLimit => self.no_time_limit(out),
            // Its signal is on the way.
            Event::Cancelled | Event::SlurmKillsIn(_) => {}
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
            if let Some(life) = self.lives.get_mut(&rule.name) {
                life.alive = (0..rule.processes).collect();
            }
            if rule.immediate {
                self.set_stage(rule.name, Stage::Ready);
                immediate.push(rule.name);
            } else {
                self.set_stage(rule.name, Stage::Starting);
                out.push(Effect::Mark(format!("{} started", rule.name)));
                out.push(Effect::Spawn(rule.name));
                let timer = Timer::Service {
                    service: rule.name,
                    start: 0,
                };
                out.push(Effect::SetTimer(timer, rule.start_limit));
            }
        }
        if self.starting() && self.all_ready() {
            self.phase = Phase::Up;
            out.push(Effect::Mark("ready".to_owned()));
            out.push(Effect::Announce);
            self.begin_to_look(out);
        }
        out.push(Effect::Publish);
        // After the announcement: a driver's own output follows it.
        out.extend(immediate.into_iter().map(Effect::Spawn));
    }

    pub(super) fn became_ready(&mut self, service: Name, out: &mut Vec<Effect>) {
        if let Some(life) = self.lives.get_mut(&service) {
            life.stage = Stage::Ready;
            life.lack = None;
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
            Timer::Service {
                service: name,
                start,
            } if self.is_starting(name, start) => {
                if name == Name::Engines && self.engines.enough() {
                    self.engines_ready(out);
                } else if self.starting() {
                    self.too_late(name, self.limit_of_start(name), out);
                } else {
                    out.push(Effect::LookForProgress(timer));
                }
            }
            Timer::Look => out.push(Effect::LookForUse),
            Timer::Dropped => self.say_dropped(out),
            Timer::JobEnds => self.slurm_says_nothing(out),
            Timer::Heeded { engine } => self.wish_is_over(engine),
            Timer::World => {
                self.world = None;
                self.settle_engines(out);
            }
            Timer::Clear { .. }
            | Timer::Rest { .. }
            | Timer::Healthy { .. }
            | Timer::Replace { .. }
            | Timer::Arrive { .. }
            | Timer::Settled { .. }
            | Timer::Nannies { .. }
            | Timer::Forgotten { .. }
            | Timer::Recount { .. } => self.healing_timer(timer, out),
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
            out.push(Effect::ShowLog(first_process(name)));
            let mut failure = Failure::not_ready(format!(
                "{name} was not ready within {seconds} s"
            ))
            .hint(format!(
                "the last thing it did is above; more time: --start-timeout {name}=DURATION"
            ));
            failure.cause = self.lives.get(&name).and_then(|life| life.lack.clone());
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

/// The process whose log tells most about a service.
pub(super) fn first_process(service: Name) -> ProcessId {
    ProcessId { service, index: 0 }
}

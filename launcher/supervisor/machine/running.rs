//! From the start to the first reason to stop. PURE.

use super::causes::{self, address_in_use, is_import_error, port_taken};
use super::{Effect, End, Event, Machine, PORT_TRIES, Phase, Stage, Timer, step_line, warning};
use crate::failure::{Failure, Kind};
use crate::plan::service::{Name, ProcessId};
use crate::supervisor::event::Exit;

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
            } => {
                if self.forget(process.service, process.index) {
                    self.exited(process, pid, &exit, &tail, out);
                }
            }
            Event::Ready { service, detail } => {
                if self.stage(service) == Stage::Starting {
                    step_line(out, format!("{service} ready {detail}").trim_end());
                    self.became_ready(service, out);
                }
            }
            Event::Lacks { service, what } => {
                if let Some(life) = self.lives.get_mut(&service) {
                    life.lack = (!what.is_empty()).then_some(what);
                }
            }
            Event::Broken { service, failure } => {
                out.push(Effect::ShowLog(first_process(service)));
                let failure = self.of_now(failure);
                self.fail(failure, out);
            }
            Event::PortTaken(failure) => {
                if self.repeats == 0 {
                    out.push(Effect::ShowLog(first_process(Name::Controller)));
                }
                let failure = self.of_now(failure);
                self.port_lost(failure, out);
            }
            Event::CannotBegin(failure) => self.fail(failure, out),
            Event::Registered(ids) => self.registered(ids, out),
            Event::Placed(report) => self.placed(report, out),
            Event::World(world) => self.world_seen(world, out),
            Event::SrunSaid(words) => self.srun_said(words, out),
            Event::SrunWaits(why) => self.srun_waits(why, out),
            Event::TimeUp(timer) => self.time_up(timer, out),
            Event::StopAsked { by, .. } => self.asked_to_stop(&by, out),
            Event::TimeLeft { left, limit } => self.time_left(left, limit, out),
            Event::Superseded(by) => self.superseded(by, out),
            Event::Swept(_) => {}
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
                out.push(Effect::SetTimer(
                    Timer::Service(rule.name),
                    rule.start_limit,
                ));
            }
        }
        let all_ready = self.lives.values().all(|life| life.stage == Stage::Ready);
        if self.starting() && all_ready {
            self.phase = Phase::Up;
            out.push(Effect::Mark("ready".to_owned()));
            out.push(Effect::Announce);
        }
        out.push(Effect::Publish);
        // After the announcement: a driver's own output follows it.
        out.extend(immediate.into_iter().map(Effect::Spawn));
    }

    pub(super) fn became_ready(&mut self, service: Name, out: &mut Vec<Effect>) {
        self.set_stage(service, Stage::Ready);
        self.advance(out);
    }

    fn spawn_failed(&mut self, process: ProcessId, failure: Failure, out: &mut Vec<Effect>) {
        if !self.forget(process.service, process.index) {
            return;
        }
        if process.service == Name::Engines {
            warning(out, failure.to_string());
            self.engines.lose(process.index);
            self.engine_lost(process, &failure, out);
        } else {
            self.fail(failure, out);
        }
    }

    /// What the end of a process means while nobody asked for it.
    fn exited(
        &mut self,
        process: ProcessId,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        out: &mut Vec<Effect>,
    ) {
        let ready = self.stage(process.service) == Stage::Ready;
        match process.service {
            Name::Engines => {
                self.engines.lose(process.index);
                if self.engines.step {
                    self.step_ended(pid, exit, tail, out);
                } else {
                    warning(out, format!("{process} (pid {pid}) ended with {exit}"));
                    out.push(Effect::ShowLog(process));
                    let end = self.end_of_service(process, pid, exit, tail);
                    self.engine_lost(process, &end, out);
                }
            }
            Name::Driver => {
                let end = End {
                    code: exit.shell_code(),
                    reason: format!("driver ended with {exit}"),
                    failure: None,
                };
                self.begin_stop(end, out);
            }
            Name::Jupyter if ready && *exit == Exit::Code(0) => {
                let end = End {
                    code: 0,
                    reason: "jupyter was shut down by its user".to_owned(),
                    failure: None,
                };
                self.begin_stop(end, out);
            }
            Name::Jupyter if !ready && port_taken(tail) && self.port_tries + 1 < PORT_TRIES => {
                self.port_tries += 1;
                warning(
                    out,
                    "jupyter's port was taken by somebody else before jupyter bound it; trying another",
                );
                if let Some(life) = self.lives.get_mut(&Name::Jupyter) {
                    life.alive.insert(process.index);
                }
                out.push(Effect::Spawn(Name::Jupyter));
            }
            Name::Controller if !ready && self.repeats > 0 && address_in_use(tail) => {
                self.port_lost(self.end_of_service(process, pid, exit, tail), out);
            }
            Name::Controller | Name::Jupyter => {
                out.push(Effect::ShowLog(process));
                self.fail(self.end_of_service(process, pid, exit, tail), out);
            }
        }
    }

    /// The failure that a process's end is, with the cause that its last lines tell.
    fn end_of_service(
        &self,
        process: ProcessId,
        pid: u32,
        exit: &Exit,
        tail: &[String],
    ) -> Failure {
        let message = format!("{process} (pid {pid}) ended with {exit}");
        let cause = causes::of(exit, tail);
        let missing = cause.is_some_and(|line| is_import_error(line));
        let mut failure = if missing && self.starting() {
            Failure::missing(message).hint(
                "a Python package is missing where this program runs: load its environment before ipjob, or install it there",
            )
        } else if self.starting() {
            Failure::not_ready(format!("{message} before the job was ready"))
                .hint(causes::next_step(exit))
        } else {
            Failure::service(message).hint(causes::next_step(exit))
        };
        failure.cause = cause.cloned();
        failure
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
            Timer::Service(name) if self.stage(name) == Stage::Starting => {
                if name == Name::Engines && self.engines.enough() {
                    self.engines_ready(out);
                } else {
                    let limit = self
                        .rules
                        .iter()
                        .find(|rule| rule.name == name)
                        .map_or(self.start_limit, |rule| rule.start_limit);
                    self.too_late(name, limit, out);
                }
            }
            Timer::Dropped => self.say_dropped(out),
            Timer::JobEnds => self.no_signal_came(out),
            Timer::World => {
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
            out.push(Effect::ShowLog(first_process(name)));
            let mut failure = Failure::not_ready(format!(
                "{name} was not ready within {seconds} s"
            ))
            .hint(format!(
                "the last thing it did is above; more time: --start-timeout {name}=DURATION"
            ));
            failure.cause = self.lives.get(&name).and_then(|life| life.lack.clone());
            failure
        };
        self.fail(failure, out);
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

    pub(super) fn fail(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        let end = End {
            code: failure.exit_code(),
            reason: failure.to_string(),
            failure: Some(failure),
        };
        self.begin_stop(end, out);
    }
}

/// The process whose log tells most about a service.
pub(super) fn first_process(service: Name) -> ProcessId {
    ProcessId { service, index: 0 }
}

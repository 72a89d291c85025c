//! From the start to the first reason to stop. PURE.

use super::engines::named;
use super::{
    DROP_PATIENCE, Effect, End, Event, Machine, PORT_TRIES, Phase, Stage, Timer, step_line, warning,
};
use crate::failure::{Failure, Kind};
use crate::plan::service::{Name, ProcessId};
use crate::supervisor::event::Exit;
use std::collections::BTreeSet;

impl Machine {
    /// An event while the job starts or is up.
    pub(super) fn step_running(&mut self, event: Event, out: &mut Vec<Effect>) {
        match event {
            Event::Begin => {
                out.push(Effect::SetTimer(Timer::Start, self.start_limit));
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
            Event::Broken {
                service,
                mut failure,
            } => {
                if !self.starting() && failure.kind == Kind::NotReady {
                    failure.kind = Kind::Service;
                }
                out.push(Effect::ShowLog(first_process(service)));
                self.fail(failure, out);
            }
            Event::Registered(ids) => self.registered(ids, out),
            Event::TimeUp(timer) => self.time_up(timer, out),
            Event::StopAsked { by, .. } => self.asked_to_stop(&by, out),
            Event::TimeLeft { left, limit } => self.time_left(left, limit, out),
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

    fn became_ready(&mut self, service: Name, out: &mut Vec<Effect>) {
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
            self.engine_lost(process, out);
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
                    warning(
                        out,
                        format!("the engines' srun (pid {pid}) ended with {exit}"),
                    );
                } else {
                    warning(out, format!("{process} (pid {pid}) ended with {exit}"));
                }
                out.push(Effect::ShowLog(process));
                self.engine_lost(process, out);
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
        let cause = tail.iter().rev().find(|line| is_exception(line));
        let missing = cause.is_some_and(|line| is_import_error(line));
        let mut failure = if missing && self.starting() {
            Failure::missing(message).hint(
                "a Python package is missing where this program runs: load its environment before ipjob, or install it there",
            )
        } else if self.starting() {
            Failure::not_ready(format!("{message} before the job was ready"))
        } else {
            Failure::service(message)
        };
        failure.cause = cause.cloned();
        failure
    }

    /// An engine is gone: does the job go on?
    fn engine_lost(&mut self, process: ProcessId, out: &mut Vec<Effect>) {
        if self.engines.world {
            // Asked, they would finalize MPI, which waits for the lost one for ever or aborts the whole start.
            self.kill(Name::Engines, out);
            let failure = self.kind_of_now(&format!(
                "{process} is lost, and the MPI world of the engines cannot go on without it"
            ));
            self.fail(failure, out);
        } else if self.engines.living() == 0 {
            let failure = self.kind_of_now("the last engine ended");
            self.fail(
                failure.hint(format!("its last lines are above ({process})")),
                out,
            );
        } else if self.stage(Name::Engines) == Stage::Ready {
            out.push(Effect::Mark(format!("{process} ended")));
            out.push(Effect::Publish);
        } else if !self.engines.possible() {
            let failure = Failure::not_ready(format!(
                "{} of {} engines are left before the job was ready, and {} are wanted",
                self.engines.living(),
                self.engines.expected,
                self.engines.minimum,
            ))
            .hint("its last lines are above; --min-engines N accepts fewer engines");
            self.fail(failure, out);
        } else {
            self.settle_engines(out);
            out.push(Effect::Publish);
        }
    }

    /// The hub's engine file changed.
    fn registered(&mut self, ids: BTreeSet<u32>, out: &mut Vec<Effect>) {
        let gone: Vec<u32> = self.engines.registered.difference(&ids).copied().collect();
        let before = self.engines.counted();
        self.engines.registered = ids;
        self.engines.dropped = self
            .engines
            .dropped
            .difference(&self.engines.registered)
            .copied()
            .collect();
        let counted = self.engines.counted();
        if self.stage(Name::Engines) == Stage::Starting {
            self.settle_engines(out);
        } else if counted > before {
            step_line(
                out,
                format!("engines {counted}/{} registered", self.engines.expected),
            );
        }
        if self.engines.step || self.engines.world {
            self.lost_from_step(gone, out);
        } else if !gone.is_empty() {
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
        out.push(Effect::Publish);
    }

    /// Engines of a step that left the hub's list: their nanny or their silence told it of their end.
    fn lost_from_step(&mut self, gone: Vec<u32>, out: &mut Vec<Effect>) {
        if gone.is_empty() {
            return;
        }
        warning(out, format!("{} left the hub's list", named(&gone)));
        let first = gone[0];
        out.push(Effect::ShowLog(ProcessId {
            service: Name::Engines,
            index: if self.engines.step { 0 } else { first },
        }));
        self.engines.lost.extend(gone);
        self.engine_lost(
            ProcessId {
                service: Name::Engines,
                index: first,
            },
            out,
        );
    }

    /// Engines become ready once all that live are registered, if they are enough.
    fn settle_engines(&mut self, out: &mut Vec<Effect>) {
        if self.stage(Name::Engines) == Stage::Starting && self.engines.settled() {
            self.engines_ready(out);
        }
    }

    fn engines_ready(&mut self, out: &mut Vec<Effect>) {
        let (counted, expected) = (self.engines.counted(), self.engines.expected);
        step_line(out, format!("engines ready ({counted}/{expected})"));
        if !self.engines.complete() {
            warning(
                out,
                format!(
                    "going on with {counted} of {expected} engines, as --min-engines {} allows",
                    self.engines.minimum
                ),
            );
        }
        self.became_ready(Name::Engines, out);
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
            other => self.deadline_timer(other, out),
        }
    }

    /// A service is not ready within its limit, or the job within its own.
    fn too_late(&mut self, name: Name, limit: core::time::Duration, out: &mut Vec<Effect>) {
        let seconds = limit.as_secs_f64();
        let failure = if name == Name::Engines {
            let missing = self.engines.missing();
            for id in missing
                .iter()
                .filter(|id| !self.engines.lost.contains(id))
                .take(1)
            {
                out.push(Effect::ShowLog(ProcessId {
                    service: name,
                    index: *id,
                }));
            }
            Failure::not_ready(format!(
                "{} of {} engines registered within {seconds} s",
                self.engines.counted(),
                self.engines.expected,
            ))
            .hint(format!("not registered: {}", named(&missing)))
            .hint("give more time with --start-timeout, or accept fewer with --min-engines")
        } else {
            out.push(Effect::ShowLog(first_process(name)));
            Failure::not_ready(format!("{name} was not ready within {seconds} s")).hint(format!(
                "the last thing it did is above; more time: --start-timeout {name}=DURATION"
            ))
        };
        self.fail(failure, out);
    }

    /// Names engines that the hub dropped while their processes live: a frozen engine never registers again.
    fn say_dropped(&mut self, out: &mut Vec<Effect>) {
        let alive = match self.lives.get(&Name::Engines) {
            Some(life) if life.stage == Stage::Ready => &life.alive,
            _ => return,
        };
        let fresh: Vec<u32> = alive
            .iter()
            .filter(|id| {
                !self.engines.registered.contains(id) && !self.engines.dropped.contains(id)
            })
            .copied()
            .collect();
        if fresh.is_empty() {
            return;
        }
        warning(
            out,
            format!(
                "the hub has dropped {} although the process lives: it was silent too long and will not register again",
                named(&fresh)
            ),
        );
        self.engines.dropped.extend(fresh);
        out.push(Effect::Publish);
    }

    /// A failure of the kind that fits: not ready before the job was, a service's failure after it.
    fn kind_of_now(&self, message: &str) -> Failure {
        if self.starting() {
            Failure::not_ready(message)
        } else {
            Failure::service(message)
        }
    }

    fn fail(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        let end = End {
            code: failure.exit_code(),
            reason: failure.to_string(),
            failure: Some(failure),
        };
        self.begin_stop(end, out);
    }
}

/// The process whose log tells most about a service.
fn first_process(service: Name) -> ProcessId {
    ProcessId { service, index: 0 }
}

/// Whether Jupyter's last lines say that its port was taken: Jupyter Server and Notebook 6 word it alike.
fn port_taken(tail: &[String]) -> bool {
    tail.iter().any(|line| {
        line.contains("is already in use")
            || line.contains("because port") && line.contains("is not available")
    })
}

/// Whether a line is the last of a Python traceback: `ModuleNotFoundError: No module named 'x'`.
fn is_exception(line: &str) -> bool {
    line.split_once(':').is_some_and(|(name, _)| {
        let name = name.rsplit('.').next().unwrap_or(name);
        (name.ends_with("Error") || name.ends_with("Exception"))
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

fn is_import_error(line: &str) -> bool {
    line.starts_with("ModuleNotFoundError") || line.starts_with("ImportError")
}

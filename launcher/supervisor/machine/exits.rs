//! What the end of a process means while nobody asked for it. PURE.

use super::causes;
use super::gone::Noticed;
use super::{Effect, End, Machine, Stage, warning};
use crate::failure::Failure;
use crate::plan::exit::MORE_MEMORY;
use crate::plan::last_words::LastWords;
use crate::plan::name::{Name, Unit};
use crate::supervisor::event::{Exit, OutOfMemory};

impl Machine {
    /// A process could not be started.
    pub(super) fn spawn_failed(&mut self, unit: Unit, failure: Failure, out: &mut Vec<Effect>) {
        if !self.forget(unit) {
            return;
        }
        match unit {
            Unit::Engine(id) => {
                warning(out, failure.to_string());
                self.gone(&[id], Noticed::OwnProcess, failure, out);
            }
            Unit::EngineGroup => {
                warning(out, failure.to_string());
                let ids = self.engines.ids(|engine| !engine.has_left_the_step());
                self.gone(&ids, Noticed::NoGroupProcess, failure, out);
            }
            _ => self.mend_or_fail(unit.service(), failure, out),
        }
    }

    /// What the end of a process means while nobody asked for it.
    pub(super) fn exited(
        &mut self,
        unit: Unit,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        memory: Option<&OutOfMemory>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(memory) = memory {
            warning(out, format!("{unit} (pid {pid}): {memory}; {MORE_MEMORY}"));
        }
        let ready = self.stage(unit.service()) == Stage::Ready;
        match unit {
            Unit::Engine(_) | Unit::EngineGroup if self.engines.step && self.replaces() => {
                self.step_of_some_ended(unit, pid, exit, tail, out);
            }
            Unit::EngineGroup => self.step_ended(pid, exit, tail, memory, out),
            Unit::Engine(id) => {
                if self.engines.were_asked(&[id]) {
                    self.say_shut_down(&[id], out);
                } else {
                    warning(out, format!("{unit} (pid {pid}) ended with {exit}"));
                    out.push(Effect::ShowLog(unit));
                }
                let end = self.end_of_service(unit, pid, exit, tail, memory);
                self.gone(&[id], Noticed::OwnProcess, end, out);
            }
            Unit::Driver => {
                let end = End {
                    code: exit.shell_code(),
                    reason: memory.map_or_else(
                        || format!("driver ended with {exit}"),
                        |memory| format!("driver ended with {exit}: {memory}"),
                    ),
                    failure: None,
                };
                self.begin_stop(end, out);
            }
            Unit::Jupyter if ready && *exit == Exit::Code(0) => {
                let end = End {
                    code: 0,
                    reason: "jupyter was shut down by its user".to_owned(),
                    failure: None,
                };
                self.begin_stop(end, out);
            }
            Unit::Controller if self.hub_asked => self.shut_down(Name::Controller, out),
            Unit::Controller | Unit::Jupyter => {
                out.push(Effect::ShowLog(unit));
                let failure = self.end_of_service(unit, pid, exit, tail, memory);
                self.mend_or_fail(unit.service(), failure, out);
            }
        }
    }

    /// The failure that a process's end is, with the cause that its last lines tell.
    pub(super) fn end_of_service(
        &self,
        unit: Unit,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        memory: Option<&OutOfMemory>,
    ) -> Failure {
        let message = format!("{unit} (pid {pid}) ended with {exit}");
        let words = LastWords::read(exit, tail);
        let missing = words.as_ref().is_some_and(LastWords::is_about_packages);
        let failure = if missing && self.starting() {
            Failure::missing(message).hint(
                "a Python package is missing where this program runs: load its environment before ipjob, or install it there",
            )
        } else if self.starting() {
            Failure::not_ready(format!("{message} before the job was ready"))
                .hint(causes::next_step(exit))
        } else {
            Failure::service(message).hint(causes::next_step(exit))
        };
        match memory {
            Some(memory) => memory.explain(failure),
            None => causes::by_itself(failure, words.as_ref()),
        }
    }
}

//! What the end of a process means while nobody asked for it. PURE.

use super::causes;
use super::{Effect, End, Machine, Stage, warning};
use crate::failure::Failure;
use crate::plan::exit::MORE_MEMORY;
use crate::plan::last_words::LastWords;
use crate::plan::name::{Name, ProcessId};
use crate::supervisor::event::{Exit, OutOfMemory};

impl Machine {
    /// A process could not be started.
    pub(super) fn spawn_failed(
        &mut self,
        process: ProcessId,
        failure: Failure,
        out: &mut Vec<Effect>,
    ) {
        if !self.forget(process.service, process.index) {
            return;
        }
        if process.service == Name::Engines {
            warning(out, failure.to_string());
            match process.engine_of_own_step() {
                Some(engine) => {
                    self.engines.lost.insert(engine);
                    self.engine_ended(process, &failure, out);
                }
                // Nothing of a set that could not be started is left to be lost one by one.
                None if self.restarts_the_set() => self.set_ended(failure, out),
                None => {
                    self.engines.lose(process.index);
                    self.engine_ended(process, &failure, out);
                }
            }
        } else {
            self.mend_or_fail(process.service, failure, out);
        }
    }

    /// What the end of a process means while nobody asked for it.
    pub(super) fn exited(
        &mut self,
        process: ProcessId,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        memory: Option<&OutOfMemory>,
        out: &mut Vec<Effect>,
    ) {
        if let Some(memory) = memory {
            warning(
                out,
                format!("{process} (pid {pid}): {memory}; {MORE_MEMORY}"),
            );
        }
        let ready = self.stage(process.service) == Stage::Ready;
        match process.service {
            Name::Engines if self.engines.step && self.replaces() => {
                self.step_of_some_ended(process, pid, exit, tail, out);
            }
            Name::Engines => {
                let asked = self
                    .engines
                    .were_asked(&self.engines.ended_with(process.index));
                self.engines.lose(process.index);
                if asked && self.engines.step {
                    self.shut_down(Name::Engines, out);
                } else if asked {
                    self.say_shut_down(&[process.index], out);
                    let end = self.end_of_service(process, pid, exit, tail, memory);
                    self.engine_ended(process, &end, out);
                } else if self.engines.step {
                    self.step_ended(pid, exit, tail, memory, out);
                } else {
                    warning(out, format!("{process} (pid {pid}) ended with {exit}"));
                    out.push(Effect::ShowLog(process));
                    let end = self.end_of_service(process, pid, exit, tail, memory);
                    self.engine_ended(process, &end, out);
                }
            }
            Name::Driver => {
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
            Name::Jupyter if ready && *exit == Exit::Code(0) => {
                let end = End {
                    code: 0,
                    reason: "jupyter was shut down by its user".to_owned(),
                    failure: None,
                };
                self.begin_stop(end, out);
            }
            Name::Controller if self.hub_asked => self.shut_down(Name::Controller, out),
            Name::Controller | Name::Jupyter => {
                out.push(Effect::ShowLog(process));
                let failure = self.end_of_service(process, pid, exit, tail, memory);
                self.mend_or_fail(process.service, failure, out);
            }
        }
    }

    /// The failure that a process's end is, with the cause that its last lines tell.
    pub(super) fn end_of_service(
        &self,
        process: ProcessId,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        memory: Option<&OutOfMemory>,
    ) -> Failure {
        let message = format!("{process} (pid {pid}) ended with {exit}");
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

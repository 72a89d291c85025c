//! What the end of a process means, and the end of engines above all. PURE. Everything that notices that engines are gone says only who,
//! how that was noticed, and what is known of it; what comes of it stands in one table, and is done in one place.
//!
//! docs/design/ends.md and docs/design/causes.md explain the design.

use super::{DROP_PATIENCE, Effect, End, Machine, Phase, Stage, Timer, warning};
use crate::failure::{About, Failure, Kind};
use crate::plan::engines::named;
use crate::plan::exit::MORE_MEMORY;
use crate::plan::last_words::LastWords;
use crate::plan::name::{Name, Unit};
use crate::plan::task_lines::{Topic, Words};
use crate::supervisor::event::{Exit, OutOfMemory};

/// How it was noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Noticed {
    /// The process that is this engine alone ended, or could not be started.
    OwnProcess,
    /// The group's own process ended.
    GroupProcess,
    /// That could not be started.
    NoGroupProcess,
    /// srun, which goes on, told the end of tasks.
    SrunsWords,
    /// Tasks left the hub's list, and others of the group are still there.
    Unlisted,
    /// The last tasks of the group left it.
    LastUnlisted,
    /// Tasks have stayed away from it, and nothing has told more.
    SilentTasks,
    /// Engines whose own processes live have stayed away from it.
    SilentProcesses,
}

/// What the end of an engine means for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// The others go on, as long as they are enough.
    GoOn,
    /// The same, where some were started again by themselves: each ends for itself.
    OneByOne,
    /// Each is started again.
    Respawn,
    /// All are started again together.
    Restart,
    /// They are one MPI world, and none works without the others.
    Fatal,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// They count no more.
    Lose,
    /// Each is started again, or counts no more.
    Each,
    /// They are waited for a little: whoever knows more of their end tells it in a moment.
    Wait,
    /// It is said that they are of no use any more, and they are left as they are.
    Drop,
    /// They are killed, and their processes tell the rest.
    Kill,
    /// All end, and start again where that is their policy.
    EndAll,
    /// The same, but Slurm may have taken them for another job, and is asked first.
    AskSlurm,
    /// The world ends with them, and so do the engines.
    EndWorld,
}

/// The table.
#[expect(clippy::match_same_arms, reason = "each row is read by itself")]
pub(super) fn action(noticed: Noticed, policy: Policy) -> Action {
    use Action::{AskSlurm, Drop, Each, EndAll, EndWorld, Kill, Lose, Wait};
    #[rustfmt::skip]
    let (go_on, one_by_one, respawn, restart, fatal) = match noticed {
        //                            GoOn      OneByOne  Respawn   Restart   Fatal
        Noticed::OwnProcess      => (Lose,     Each,     Each,     EndAll,   EndWorld),
        Noticed::GroupProcess    => (AskSlurm, Each,     Each,     AskSlurm, AskSlurm),
        Noticed::NoGroupProcess  => (Lose,     Each,     Each,     EndAll,   EndWorld),
        Noticed::SrunsWords      => (Lose,     Each,     Each,     AskSlurm, EndWorld),
        Noticed::Unlisted        => (Lose,     Each,     Each,     Wait,     EndWorld),
        Noticed::LastUnlisted    => (Wait,     Wait,     Each,     Wait,     Wait),
        Noticed::SilentTasks     => (AskSlurm, AskSlurm, AskSlurm, EndAll,   AskSlurm),
        Noticed::SilentProcesses => (Drop,     Drop,     Kill,     Drop,     EndWorld),
    };
    match policy {
        Policy::GoOn => go_on,
        Policy::OneByOne => one_by_one,
        Policy::Respawn => respawn,
        Policy::Restart => restart,
        Policy::Fatal => fatal,
    }
}

impl Machine {
    /// What the end of an engine means now.
    pub(super) fn policy(&self) -> Policy {
        if self.replaces() {
            if self.engines.each() {
                Policy::Respawn
            } else {
                Policy::OneByOne
            }
        } else if self.restarts_the_set() {
            Policy::Restart
        } else if self.engines.world {
            Policy::Fatal
        } else {
            Policy::GoOn
        }
    }

    /// These engines are gone, or do not show that they are there.
    pub(super) fn gone(
        &mut self,
        ids: &[u32],
        noticed: Noticed,
        end: Failure,
        out: &mut Vec<Effect>,
    ) {
        let Some(first) = ids.first().copied() else {
            return;
        };
        let end = self.with_bad_request(end);
        let action = action(noticed, self.policy());
        let living = ids.iter().copied();
        let living = living.filter(|id| self.engines.is(*id, |engine| !engine.lost));
        let asked = self.engines.were_asked(&living.collect::<Vec<u32>>());
        let silent = matches!(noticed, Noticed::SilentTasks | Noticed::SilentProcesses);
        let all_end = matches!(action, Action::EndAll | Action::AskSlurm | Action::EndWorld);
        if all_end && silent && !asked && self.spares_the_silent() {
            return self.spare(ids, out);
        }
        if action == Action::EndWorld && silent {
            self.say_unlisted(ids, out);
            if !asked {
                out.push(Effect::ShowLog(Unit::Engine(first)));
            }
        }
        // Of a world that ends those too that only seem to be gone: asked to end, the others would wait for them in MPI_Finalize.
        if action == Action::EndWorld || (!silent && action != Action::Wait) {
            self.engines.lose(ids);
        }
        let there = matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready);
        match action {
            Action::Each => {
                for id in ids {
                    self.engine_ended(*id, &end, out);
                }
            }
            Action::Wait => self.wait_for_word(ids, out),
            Action::Drop | Action::Kill => self.drop_out(ids, action, out),
            // What is on its way already brings all of them back, or has told their end.
            _ if !there => {}
            Action::EndAll | Action::AskSlurm | Action::EndWorld if asked => {
                self.shut_down(Name::Engines, out);
            }
            Action::Lose | Action::EndWorld => self.engine_lost(first, &end, out),
            Action::EndAll => self.set_ended(end, out),
            Action::AskSlurm => {
                let with_log = noticed == Noticed::GroupProcess;
                self.hear_slurm_first(end, with_log, out);
            }
        }
    }

    /// Engines left the hub's list: ranks that died, whose end srun is about to tell, or that were silent too long.
    fn wait_for_word(&mut self, ids: &[u32], out: &mut Vec<Effect>) {
        let ready = self.stage(Name::Engines) == Stage::Ready && matches!(self.phase, Phase::Up);
        if ready {
            for id in ids {
                if let Some(engine) = self.engines.get_mut(*id) {
                    engine.missed = true;
                }
            }
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
    }

    /// The hub has dropped these although they live: they never register again.
    fn drop_out(&mut self, ids: &[u32], action: Action, out: &mut Vec<Effect>) {
        let what = if action == Action::Kill {
            ", and is replaced"
        } else {
            " and will not register again"
        };
        let who = named("engine", ids);
        warning(
            out,
            format!(
                "the hub has dropped {who} although the process lives: it was silent too long{what}"
            ),
        );
        self.engines.drop_out(ids);
        if action == Action::Kill {
            out.extend(ids.iter().map(|id| Effect::Kill(Unit::Engine(*id))));
        }
    }
}

/// What the end of a process means while nobody asked for it.
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
        // What was on hold has been started.
        self.on_hold &= self.stage(unit) != Stage::Starting;
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
            Failure::not_ready(format!("{message} before the job was ready")).hint(next_step(exit))
        } else {
            Failure::service(message).hint(next_step(exit))
        };
        match memory {
            Some(memory) => memory.explain(failure),
            None => by_itself(failure, words.as_ref()),
        }
    }
}

/// SIGKILL's number, the same on every Unix.
const KILL: i32 = 9;

/// What to do about a process that ended.
pub(super) fn next_step(exit: &Exit) -> &'static str {
    match exit {
        Exit::Signal { number: KILL, .. } => {
            "killed by SIGKILL (the kernel's out-of-memory killer? `dmesg` tells): batch systems kill so beyond a job's limit, too"
        }
        _ => "its last lines are above, all of them in the log of that name",
    }
}

/// Too few engines, because of the end of one. What is missing here stays that, with what to do about it.
pub(super) fn too_few(mut failure: Failure, end: &Failure) -> Failure {
    failure.cause = Some(end.to_string());
    if end.kind == Kind::Missing {
        failure.kind = Kind::Missing;
        failure.hints.clone_from(&end.hints);
    } else if end.about == Some(About::Memory) {
        failure.hints.clone_from(&end.hints);
    }
    failure.about = end.about;
    failure
}

/// What Slurm's words say that a failure is about.
pub(super) fn by_slurm(failure: Failure, words: &Words) -> Failure {
    match words.about {
        Some(Topic::OutOfMemory) => failure.hint(MORE_MEMORY).about(About::Memory),
        Some(Topic::JobEnds) => failure.about(About::JobEnds),
        _ => failure,
    }
}

/// What a process itself told of its end, in its log.
pub(super) fn by_itself(mut failure: Failure, words: Option<&LastWords>) -> Failure {
    if let Some((module, file)) = words.and_then(LastWords::wrong_module) {
        failure = failure.hint(format!(
            "Python took {file} for the module `{module}`: rename that file if another module was meant, or start in another directory"
        ));
    }
    if let Some((path, variable)) = words.and_then(LastWords::closed_place) {
        failure = failure.hint(format!(
            "{path} cannot be written here: `export {variable}=DIRECTORY` names another place for what is kept there"
        ));
    }
    failure.cause = words.map(ToString::to_string);
    failure
}

/// What to do where Slurm's side of PMI could not read what the MPI library asked of it.
pub(super) const OTHER_MPI: &str = "seen now and then with MPICH 5.0, with any program: start again, or use an older MPICH (4.2), another MPI, or --mpi none";

/// Where more of engines that one starter has started is to be found.
pub(super) const LINES_OF_ENGINES: &str = "the last lines of the engines' log are above";

/// What to do about engines that ended as srun says.
pub(super) fn next_step_of_srun(words: &Words, cancelled: bool) -> &'static str {
    if cancelled {
        "somebody cancelled the engines' step (scancel JOB.STEP), as the engines' log says"
    } else if words.about == Some(Topic::Killed) {
        "killed by SIGKILL (the kernel's out-of-memory killer? `sacct --format=JobID,State,MaxRSS,ReqMem` tells)"
    } else {
        LINES_OF_ENGINES
    }
}

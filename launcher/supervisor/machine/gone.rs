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
    /// Slurm makes no step any more where they would start again.
    NodeRefused,
    /// srun, which keeps running, told the end of tasks.
    SrunsWords,
    /// Tasks left the hub's list, and others of the group are still there.
    Unlisted,
    /// The last tasks of the group left it.
    LastUnlisted,
    /// Tasks have stayed away from it, and nothing has told more.
    SilentTasks,
    /// Engines whose own processes live have stayed away from it.
    SilentProcesses,
    /// Such tasks, of engines whose memory counts for more than their silence.
    SparedTasks,
    /// Such processes.
    SparedProcesses,
}

/// What the end of a unit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Policy {
    /// The other engines keep running, as long as they are enough.
    GoOn,
    /// The same, where some were started again by themselves: each ends for itself.
    OneByOne,
    /// It was ended to be started again.
    Again,
    /// It is started again by itself.
    Respawn,
    /// It is started again: of engines all of them, together.
    Restart,
    /// Nothing works without it: of engines, they are one MPI world.
    Fatal,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// They count no more.
    Lose,
    /// They start as soon as the hub has dropped them.
    Start,
    /// Each starts again after a pause, or counts no more if it has ended too often.
    Respawn,
    /// They are waited for a little: whoever knows more of their end tells it in a moment.
    Wait,
    /// It is said that they are of no use any more, and they are left as they are.
    Drop,
    /// The same, with how their user ends them.
    Spare,
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
    use Action::{AskSlurm, Drop, EndAll, EndWorld, Kill, Lose, Respawn, Spare, Start, Wait};
    #[rustfmt::skip]
    let (go_on, one_by_one, again, respawn, restart, fatal) = match noticed {
        //                            GoOn      OneByOne  Again     Respawn   Restart   Fatal
        Noticed::OwnProcess      => (Lose,     Lose,     Start,    Respawn,  EndAll,   EndWorld),
        Noticed::GroupProcess    => (AskSlurm, Lose,     Start,    Respawn,  AskSlurm, AskSlurm),
        Noticed::NoGroupProcess  => (Lose,     Lose,     Start,    Respawn,  EndAll,   EndWorld),
        Noticed::NodeRefused     => (Lose,     Lose,     Lose,     Lose,     EndAll,   EndWorld),
        Noticed::SrunsWords      => (Lose,     Lose,     Start,    Respawn,  AskSlurm, EndWorld),
        Noticed::Unlisted        => (Lose,     Lose,     Start,    Respawn,  Wait,     EndWorld),
        Noticed::LastUnlisted    => (Wait,     Wait,     Wait,     Respawn,  Wait,     Wait),
        Noticed::SilentTasks     => (AskSlurm, AskSlurm, AskSlurm, AskSlurm, EndAll,   AskSlurm),
        Noticed::SilentProcesses => (Drop,     Drop,     Kill,     Kill,     Drop,     EndWorld),
        Noticed::SparedTasks     => (Spare,    Spare,    Spare,    Spare,    Spare,    Spare),
        Noticed::SparedProcesses => (Drop,     Drop,     Kill,     Kill,     Drop,     Spare),
    };
    match policy {
        Policy::GoOn => go_on,
        Policy::OneByOne => one_by_one,
        Policy::Again => again,
        Policy::Respawn => respawn,
        Policy::Restart => restart,
        Policy::Fatal => fatal,
    }
}

impl Machine {
    /// What the end of a unit means now.
    pub(super) fn policy(&self, unit: Unit) -> Policy {
        match unit {
            Unit::Engine(id) if self.replaces() => {
                if self.engines.is(id, |engine| engine.again) {
                    Policy::Again
                } else if self.engines.each() && !self.engines.is(id, |engine| engine.by_client) {
                    Policy::Respawn
                } else {
                    Policy::OneByOne
                }
            }
            Unit::Engine(_) | Unit::EngineGroup if self.restarts_the_set() => Policy::Restart,
            Unit::Engine(_) if !self.engines.world => Policy::GoOn,
            Unit::Controller | Unit::Jupyter if matches!(self.phase, Phase::Up) => Policy::Restart,
            _ => Policy::Fatal,
        }
    }

    /// These engines are gone, or do not show that they are there.
    pub(super) fn gone(
        &mut self,
        ids: &[u32],
        mut noticed: Noticed,
        end: Failure,
        out: &mut Vec<Effect>,
    ) {
        let end = self.with_bad_request(end);
        let living = ids.iter().copied();
        let living = living.filter(|id| self.engines.is(*id, |engine| !engine.lost));
        let asked = self.engines.were_asked(&living.collect::<Vec<u32>>());
        if !asked && self.spares_the_silent() {
            noticed = match noticed {
                Noticed::SilentTasks => Noticed::SparedTasks,
                Noticed::SilentProcesses => Noticed::SparedProcesses,
                other => other,
            };
        }
        let mut actions: Vec<(Action, Vec<u32>)> = Vec::new();
        for id in ids {
            let action = action(noticed, self.policy(Unit::Engine(*id)));
            match actions.iter_mut().find(|(known, _)| *known == action) {
                Some((_, ids)) => ids.push(*id),
                None => actions.push((action, vec![*id])),
            }
        }
        for (action, ids) in actions {
            self.act(action, &ids, noticed, asked, &end, out);
        }
    }

    /// Does what the table says. `asked` tells whether a client asked for this end: then it is no failure.
    fn act(
        &mut self,
        action: Action,
        ids: &[u32],
        noticed: Noticed,
        asked: bool,
        end: &Failure,
        out: &mut Vec<Effect>,
    ) {
        let Some(first) = ids.first().copied() else {
            return;
        };
        let silent = matches!(noticed, Noticed::SilentTasks | Noticed::SilentProcesses);
        if action == Action::EndWorld && silent {
            self.say_unlisted(ids, out);
            if !asked {
                out.push(Effect::ShowLog(Unit::Engine(first)));
            }
        }
        let ended = match action {
            // Of a world that ends those too that only seem to be gone: asked to end, the others would wait for them in MPI_Finalize.
            Action::EndWorld => true,
            Action::Wait | Action::Drop | Action::Kill | Action::Spare => false,
            _ => !silent,
        };
        if ended {
            self.engines.lose(ids);
        }
        let each = self.replaces();
        let there = matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready);
        match action {
            Action::Start => ids.iter().for_each(|id| self.start_when_dropped(*id)),
            Action::Respawn => ids.iter().for_each(|id| self.respawn(*id, end, out)),
            Action::Lose if there || each => ids.iter().for_each(|id| self.lose(*id, end, out)),
            Action::Wait => self.wait_for_word(ids, out),
            Action::Spare => self.spare(ids, out),
            Action::Drop | Action::Kill => self.drop_out(ids, action, out),
            // What is on its way already brings all of them back, or has told their end.
            _ if !there => {}
            _ if asked => self.shut_down(Name::Engines, out),
            Action::AskSlurm => {
                let with_log = noticed == Noticed::GroupProcess;
                self.hear_slurm_first(end.clone(), with_log, out);
            }
            Action::EndWorld => {
                self.note_cause(end);
                let text = format!(
                    "engine {first} is lost, and the MPI world of the engines cannot continue without it"
                );
                let failure = Failure::new(self.kind_of_now(), text).because(end);
                self.gone_for_good(Name::Engines, End::of(failure), out);
            }
            Action::EndAll | Action::Lose => self.mend_or_fail(Name::Engines, end.clone(), out),
        }
        if each {
            // Others may have waited for one of these to come.
            self.replace_engines(out);
        }
    }

    /// An engine counts no more: is there something left to use?
    pub(super) fn lose(&mut self, id: u32, end: &Failure, out: &mut Vec<Effect>) {
        if self.replaces()
            && let Some(engine) = self.engines.get_mut(id)
        {
            engine.life.stage = Stage::Ended;
            engine.again = false;
        }
        self.note_cause(end);
        let none_left = self.engines.living() == 0 && !self.engines.any_on_its_way();
        if none_left && self.engines.were_asked(&[id]) {
            self.shut_down(Name::Engines, out);
        } else if none_left {
            let failure = Failure::new(self.kind_of_now(), "the last engine ended")
                .hint(format!("its last lines are above (engine {id})"));
            self.engines_failed(too_few(failure, end), out);
        } else if self.stage(Name::Engines) == Stage::Ready {
            out.push(Effect::Mark(format!("engine {id} ended")));
        } else if !self.engines.possible() {
            let failure = Failure::not_ready(format!(
                "{} of {} engines are left before the job was ready, and {} are required",
                self.engines.living(),
                self.engines.expected(),
                self.engines.minimum,
            ))
            .hint("its last lines are above; --min-engines N accepts fewer engines");
            self.engines_failed(too_few(failure, end), out);
        } else {
            self.settle_engines(out);
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
            "killed by SIGKILL (the kernel's out-of-memory killer? see `dmesg`): batch systems also kill a job like this when it exceeds a limit"
        }
        _ => "its last lines are above; its log has the rest",
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
        Some(Topic::JobEnds | Topic::Ended) => failure.about(About::JobEnds),
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
            "{path} cannot be written here: `export {variable}=DIRECTORY` moves what is kept there"
        ));
    }
    failure.cause = words.map(ToString::to_string);
    failure
}

/// What to do where Slurm's side of PMI could not read what the MPI library asked of it.
pub(super) const OTHER_MPI: &str = "this happens now and then with MPICH 5.0, in any program: try again, or use an older MPICH (4.2), another MPI, or --mpi none";

/// Where more of engines that one starter has started is to be found.
pub(super) const LINES_OF_ENGINES: &str = "the last lines of the engines' log are above";

/// What happened to engines whose log has slurmstepd's word of it.
pub(super) const CANCELLED: &str =
    "somebody cancelled the engines' step (scancel JOB.STEP), as the engines' log says";

/// What to do about engines that ended as srun says.
pub(super) fn next_step_of_srun(words: &Words) -> &'static str {
    if words.about == Some(Topic::Killed) {
        "killed by SIGKILL (the kernel's out-of-memory killer? see `sacct --format=JobID,State,MaxRSS,ReqMem`)"
    } else if words.about == Some(Topic::GivenUp) {
        "srun ended the engines' step because of that (`sinfo -N -l` shows the state of its nodes)"
    } else {
        LINES_OF_ENGINES
    }
}

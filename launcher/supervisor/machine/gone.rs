//! What it means that engines are gone. PURE. Everything that notices such an end says only who is gone, how that was noticed, and what
//! is known of it; what comes of it stands in one table, and is done in one place.
//!
//! docs/design/ends.md explains the design.

use super::{DROP_PATIENCE, Effect, Machine, Phase, Stage, Timer, warning};
use crate::failure::Failure;
use crate::plan::engines::named;
use crate::plan::name::{Name, Unit};

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

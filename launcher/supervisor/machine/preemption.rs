//! Engines that end because Slurm takes the job's nodes for another one. PURE. With a grace time, Slurm signals the tasks of the
//! job's steps at its begin and the batch script, which is us, only at its end: the engines' end is the first that is heard of it.

use super::{Effect, End, Look, Machine, SIGNAL_PATIENCE, Timer};
use crate::failure::{About, Failure};
use crate::plan::name::Unit;

/// An end of the engines that Slurm may explain.
#[derive(Clone, Debug)]
pub(super) struct Unexplained {
    /// What it is unless Slurm says otherwise.
    failure: Failure,
    /// Whether srun said that Slurm takes the job down: then its signal comes.
    signal_comes: bool,
    /// Whether the last lines of the step's log belong to it: no task's own were shown.
    with_log: bool,
}

impl Machine {
    /// Too few engines are left, and Slurm may be the reason: it is asked, and heard. Where it takes the job down its signal to us is
    /// on its way, and waited for as well.
    pub(super) fn hear_slurm_first(
        &mut self,
        failure: Failure,
        with_log: bool,
        out: &mut Vec<Effect>,
    ) {
        let signal_comes = failure.about == Some(About::JobEnds);
        if let Some(first) = &mut self.engines.unexplained {
            first.signal_comes |= signal_comes;
            return;
        }
        self.engines.unexplained = Some(Unexplained {
            failure,
            signal_comes,
            with_log,
        });
        out.push(Effect::Look(Look::Preemption));
        out.push(Effect::SetTimer(Timer::JobEnds, SIGNAL_PATIENCE));
    }

    /// Slurm's answer.
    pub(super) fn preempted(&mut self, preempted: bool, out: &mut Vec<Effect>) {
        // Where single engines come back, it is asked at the end of each.
        let asked = self.engines.unexplained.is_some() || self.replaces();
        if preempted && asked {
            let reason = "preemption: Slurm takes the job's nodes for another job, and has ended the engines";
            let end = End {
                code: 0,
                reason: reason.to_owned(),
                failure: None,
            };
            self.begin_stop(end, out);
        } else if let Some(end) = &self.engines.unexplained
            && !end.signal_comes
        {
            self.slurm_says_nothing(out);
        }
    }

    /// Slurm has nothing to do with it, as far as it tells.
    pub(super) fn slurm_says_nothing(&mut self, out: &mut Vec<Effect>) {
        if let Some(end) = self.engines.unexplained.take() {
            if end.with_log {
                out.push(Effect::ShowLog(Unit::EngineGroup));
            }
            self.set_ended(end.failure, out);
        }
    }
}

//! Engines that come, go and fall silent, and what that means for the job. PURE.

use super::causes::too_few;
use super::engines::named;
use super::{DROP_PATIENCE, Effect, Machine, Stage, Timer, WORLD_PATIENCE, step_line, warning};
use crate::failure::Failure;
use crate::plan::service::{Name, ProcessId};
use std::collections::BTreeSet;

impl Machine {
    /// An engine is gone, and `end` tells how: does the job go on?
    pub(super) fn engine_lost(&mut self, process: ProcessId, end: &Failure, out: &mut Vec<Effect>) {
        if self.engines.world {
            // Asked, they would finalize MPI, which waits for the lost one for ever or aborts the whole start.
            self.kill(Name::Engines, out);
            let text = format!(
                "{process} is lost, and the MPI world of the engines cannot go on without it"
            );
            self.fail(Failure::new(self.kind_of_now(), text).because(end), out);
        } else if self.engines.living() == 0 {
            let failure = Failure::new(self.kind_of_now(), "the last engine ended")
                .hint(format!("its last lines are above ({process})"));
            self.fail(too_few(failure, end), out);
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
            self.fail(too_few(failure, end), out);
        } else {
            self.settle_engines(out);
            out.push(Effect::Publish);
        }
    }

    /// The hub's engine file changed.
    pub(super) fn registered(&mut self, ids: BTreeSet<u32>, out: &mut Vec<Effect>) {
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
        if self.engines.step {
            self.lost_from_step(gone, out);
        } else if !gone.is_empty() {
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
        out.push(Effect::Publish);
    }

    /// Engines become ready once all that live are registered, if they are enough.
    pub(super) fn settle_engines(&mut self, out: &mut Vec<Effect>) {
        if self.stage(Name::Engines) != Stage::Starting || !self.engines.settled() {
            return;
        }
        if self.world.is_some() {
            // Ready engines that are no world are worse than none: wait for their word, which is on its way.
            out.push(Effect::SetTimer(Timer::World, WORLD_PATIENCE));
        } else {
            self.engines_ready(out);
        }
    }

    pub(super) fn engines_ready(&mut self, out: &mut Vec<Effect>) {
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

    /// Names engines that the hub dropped while their processes live: a frozen engine never registers again.
    pub(super) fn say_dropped(&mut self, out: &mut Vec<Effect>) {
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
        if self.engines.world {
            // Its rank, which would have told how it ended, is lost with it: its node, or the way to it.
            return self.lost_from_step(fresh, out);
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
}

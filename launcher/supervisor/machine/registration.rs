//! Engines that come, go and fall silent, and what that means for the job. PURE.

use super::causes::too_few;
use super::gone::Noticed;
use super::{
    DROP_PATIENCE, Effect, End, Machine, Stage, Timer, WORLD_PATIENCE, step_line, warning,
};
use crate::failure::Failure;
use crate::plan::engines::{SHOWN, named};
use crate::plan::name::{Name, Unit};
use crate::record::moment;
use std::collections::BTreeSet;

/// Engines that never registered whose last lines are shown.
const LOGS: usize = 3;

impl Machine {
    /// An engine is gone, and `end` tells how: does the job go on?
    pub(super) fn engine_lost(&mut self, id: u32, end: &Failure, out: &mut Vec<Effect>) {
        let process = Unit::Engine(id);
        let asked = self.engines.were_asked(&[id]);
        self.note_cause(end);
        if self.engines.world && asked {
            self.shut_down(Name::Engines, out);
        } else if self.engines.world {
            let text = format!(
                "{process} is lost, and the MPI world of the engines cannot go on without it"
            );
            let failure = Failure::new(self.kind_of_now(), text).because(end);
            self.gone_for_good(Name::Engines, End::of(failure), out);
        } else if self.engines.living() == 0 && !self.engines.any_on_its_way() && asked {
            self.shut_down(Name::Engines, out);
        } else if self.engines.living() == 0 && !self.engines.any_on_its_way() {
            let failure = Failure::new(self.kind_of_now(), "the last engine ended")
                .hint(format!("its last lines are above ({process})"));
            self.engines_failed(too_few(failure, end), out);
        } else if self.stage(Name::Engines) == Stage::Ready {
            out.push(Effect::Mark(format!("{process} ended")));
        } else if !self.engines.possible() {
            let failure = Failure::not_ready(format!(
                "{} of {} engines are left before the job was ready, and {} are wanted",
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

    /// The hub's engine file changed.
    pub(super) fn registered(&mut self, ids: &BTreeSet<u32>, out: &mut Vec<Effect>) {
        let before = self.engines.counted();
        let guests = self.engines.guests();
        let gone = self.engines.list(ids);
        if self.engines.guests() != guests {
            self.guests_changed(out);
        }
        let counted = self.engines.counted();
        if self.stage(Name::Engines) == Stage::Starting {
            self.settle_engines(out);
        } else if counted > before {
            step_line(
                out,
                format!("engines {counted}/{} registered", self.engines.expected()),
            );
        }
        if self.engines.together() && !self.restarts_the_set() {
            // Such engines that start are judged by their limit and srun's words alone.
        } else if self.engines.together() {
            self.tasks_gone(&gone, Noticed::Unlisted, out);
        } else if self.engines.step {
            let own = self.engines_of_their_own();
            let (own, rest): (Vec<u32>, Vec<u32>) =
                gone.into_iter().partition(|id| own.contains(id));
            self.lost_from_step(rest, out);
            if !own.is_empty() {
                out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
            }
        } else if !gone.is_empty() {
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
        self.replace_engines(out);
        self.start_the_set(out);
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
        let (counted, expected) = (self.engines.counted(), self.engines.expected());
        let told = moment::ready(Name::Engines, &format!("({counted}/{expected})"));
        step_line(out, told);
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
        self.became_ready_again(Name::Engines, out);
    }

    /// Too few engines have registered in time: which are missing and where they are, each with its last lines, and the cause
    /// as far as anything told it.
    pub(super) fn engines_too_late(&self, seconds: f64, out: &mut Vec<Effect>) -> Failure {
        let missing = self.engines.ids(|engine| !engine.listed);
        // In a step only those that have come can have said anything.
        let step = self.engines.step;
        let told = self
            .engines
            .ids(|engine| !engine.listed && !engine.lost && (!step || engine.place.is_some()));
        let logs = told.into_iter().take(LOGS);
        out.extend(logs.map(|id| Effect::ShowLog(Unit::Engine(id))));
        if step && !self.engines.any(|engine| engine.place.is_some()) {
            out.push(Effect::ShowLog(Unit::EngineGroup));
        }
        let mut failure = Failure::not_ready(format!(
            "{} of {} engines registered within {seconds} s",
            self.engines.counted(),
            self.engines.expected(),
        ));
        let mut placed = (self.engines).ids(|engine| !engine.listed && engine.place.is_some());
        placed.truncate(SHOWN);
        let rest: Vec<u32> = missing
            .iter()
            .filter(|id| !placed.contains(id))
            .copied()
            .collect();
        let mut names: Vec<String> = placed.iter().map(|id| self.engine(*id)).collect();
        if !rest.is_empty() {
            names.push(named("engine", &rest));
        }
        let lack = self.services.get(&Name::Engines);
        failure.cause = (self.engines.waits.clone())
            .or_else(|| {
                self.engines
                    .srun_said
                    .as_ref()
                    .map(|words| words.text.clone())
            })
            .or_else(|| lack.and_then(|found| found.lack.clone()));
        failure
            .hint(format!("not registered: {}", names.join(", ")))
            .hint("give more time with --start-timeout, or accept fewer with --min-engines")
    }

    /// Names engines that the hub dropped while their processes live: a frozen engine never registers again.
    pub(super) fn say_dropped(&mut self, out: &mut Vec<Effect>) {
        self.say_missed(out);
        if self.engines.together() {
            return;
        }
        if self.stage(Name::Engines) != Stage::Ready {
            return;
        }
        let mut fresh = self.engines_of_their_own();
        fresh.retain(|id| {
            self.engines.is(*id, |engine| {
                // One that a client ended the hub lets go first, and it ends a moment later.
                !engine.listed && !engine.dropped && !engine.arrives() && !engine.by_client
            })
        });
        let Some(first) = fresh.first().copied() else {
            return;
        };
        let end = format!("{} left the hub's list", self.engine(first));
        let end = Failure::new(self.kind_of_now(), end);
        self.gone(&fresh, Noticed::SilentProcesses, end, out);
    }
}

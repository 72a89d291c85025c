//! Engines that are one MPI world and start again together when one of them is lost. PURE.

use super::engines::Again;
use super::{DROP_PATIENCE, Effect, End, Machine, Phase, Stage, Timer, step_line, warning};
use crate::failure::Failure;
use crate::plan::WantedWorld;
use crate::plan::engines::named;
use crate::plan::name::Name;
use core::time::Duration;
use std::collections::BTreeSet;

/// How long the hub may take to drop the ids of a set that has ended: its patience with a silent engine is 30 s, unless its own
/// options say otherwise.
const FORGETTING: Duration = Duration::from_secs(180);

/// How long nannies may take to tell the hub of the ends of their engines, which most do in 10 ms.
const NANNIES: Duration = Duration::from_secs(1);

/// What is known of the engines as a set.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// The MPI world that it is to see at each start.
    world: Option<WantedWorld>,
    /// Whether it is started as soon as the hub has dropped its ids.
    due: bool,
    /// Whether it starts again because nobody said that it should not.
    by_default: bool,
    /// Engines that left the hub's list, while it is waited for who tells more.
    pub(super) missed: BTreeSet<u32>,
}

impl Machine {
    /// The same, with engines that all start again together when one of them is lost. After `expecting_a_world`: each set is to see
    /// the same.
    #[must_use]
    pub fn restarting_the_set(mut self, wanted: bool) -> Self {
        if wanted {
            self.engines.again = Again::Together;
        }
        self.engines.set.world.clone_from(&self.world);
        self
    }

    /// The same, with such a set because nobody said otherwise: what the hub alone tells does not end it.
    #[must_use]
    pub fn sparing_the_silent(mut self, by_default: bool) -> Self {
        self.engines.set.by_default = by_default;
        self
    }

    /// Whether a set that ends now starts again.
    pub(super) fn restarts_the_set(&self) -> bool {
        self.engines.together() && matches!(self.phase, Phase::Up)
    }

    /// The engines cannot go on: they start again together, or the job ends.
    pub(super) fn set_ended(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        let on_its_way = !matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready);
        if self.restarts_the_set() && on_its_way {
            return;
        }
        self.mend_or_fail(Name::Engines, failure, out);
    }

    /// Ends what is left of the set, on all nodes. None is asked: that would finalize MPI, which waits for the lost one. Before,
    /// nannies that outlive their engines have the time to tell the hub.
    pub(super) fn end_the_set(&mut self, start: u32, out: &mut Vec<Effect>) {
        self.engines.lost = (0..self.engines.expected).collect();
        self.engines.unexplained = None;
        self.engines.replaced.clear();
        self.engines.set.missed.clear();
        self.engines.set.due = false;
        out.push(Effect::SetTimer(Timer::Nannies { start }, NANNIES));
    }

    /// The pause before the next start is over.
    pub(super) fn set_rested(&mut self, out: &mut Vec<Effect>) {
        self.engines.set.due = true;
        self.start_the_set(out);
        if let Some(life) = self.lives.get(&Name::Engines)
            && life.stage == Stage::Resting
        {
            let timer = Timer::Forgotten { start: life.start };
            step_line(out, "the hub is to drop the engines that ended");
            out.push(Effect::SetTimer(timer, FORGETTING));
            out.push(Effect::Publish);
        }
    }

    /// Starts the set, if its turn has come: a hub that still knows an id gives the new engine another.
    pub(super) fn start_the_set(&mut self, out: &mut Vec<Effect>) {
        let hub = self.stage(Name::Controller) == Stage::Ready && self.believes_the_hub();
        let rests = self.stage(Name::Engines) == Stage::Resting;
        let known = self.engines.registered.range(..self.engines.expected);
        if !hub || !rests || known.count() > 0 || !matches!(self.phase, Phase::Up) {
            return;
        }
        if !core::mem::take(&mut self.engines.set.due) {
            return;
        }
        self.world.clone_from(&self.engines.set.world);
        self.engines.lost.clear();
        self.engines.by_client.clear();
        self.engines.dropped.clear();
        self.engines.places.clear();
        self.engines.srun_said = None;
        self.engines.waits = None;
        step_line(out, "the engines start again");
        self.restart(Name::Engines, out);
    }

    /// The hub has kept ids of a set that has ended for long.
    pub(super) fn set_is_not_forgotten(&mut self, start: u32, out: &mut Vec<Effect>) {
        if self.stage(Name::Controller) != Stage::Ready || !self.believes_the_hub() {
            // Another hub takes its time.
            return out.push(Effect::SetTimer(Timer::Forgotten { start }, FORGETTING));
        }
        let known: Vec<u32> = self
            .engines
            .registered
            .range(..self.engines.expected)
            .copied()
            .collect();
        let text = format!(
            "the hub still lists {}, {} s after the end of the set",
            named("engine", &known),
            FORGETTING.as_secs()
        );
        let failure = Failure::service(text).hint(
            "--controller-arg=--HeartMonitor.max_heartmonitor_misses=N shortens its patience",
        );
        self.gone_for_good(Name::Engines, End::of(failure), out);
    }

    /// Engines left the hub's list: ranks that died, whose end srun is about to tell, or that were silent too long.
    pub(super) fn missed_from_set(&mut self, gone: Vec<u32>, out: &mut Vec<Effect>) {
        let ready = self.stage(Name::Engines) == Stage::Ready && matches!(self.phase, Phase::Up);
        if ready && !gone.is_empty() {
            self.engines.set.missed.extend(gone);
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
    }

    /// They have stayed away, and nothing has told more of it.
    pub(super) fn say_missed(&mut self, out: &mut Vec<Effect>) {
        let engines = &mut self.engines;
        if engines.unexplained.is_some() {
            return;
        }
        let missed = core::mem::take(&mut engines.set.missed);
        let away = |id: &u32| {
            *id < engines.expected && !engines.registered.contains(id) && !engines.lost.contains(id)
        };
        let missed: Vec<u32> = missed.into_iter().filter(away).collect();
        let Some(first) = missed.first().copied() else {
            return;
        };
        if self.engines.were_asked(&missed) {
            return self.shut_down(Name::Engines, out);
        }
        out.push(self.show_engine(first));
        if self.spares_the_silent() {
            return self.spare(missed, out);
        }
        let kind = self.kind_of_now();
        if self.engines.together() {
            let text = format!("{} left the hub's list", self.engine(first));
            self.set_ended(Failure::new(kind, text), out);
        } else {
            let text = "the hub has dropped the last engine, and nothing has told of its end";
            let failure = Failure::new(kind, text).hint(
                "the hub drops engines that are silent for 30 s: stopped, starved or cut off",
            );
            self.engines_failed(failure, out);
        }
    }

    /// Whether engines that the hub alone misses are left as they are: a stopped or starved one keeps its memory, and so do the others. Not
    /// where their user wants the set to start again then, or nobody is left who could use them.
    pub(super) fn spares_the_silent(&self) -> bool {
        if self.engines.together() {
            self.engines.set.by_default
        } else {
            self.kept_by().is_some()
        }
    }

    /// Leaves engines as they are that the hub has dropped and that nothing has told the end of.
    pub(super) fn spare(&mut self, ids: Vec<u32>, out: &mut Vec<Effect>) {
        let who = match ids[..] {
            [id] => self.engine(id),
            _ => named("engine", &ids),
        };
        let way = if self.engines.startable.at_all() {
            "; `ipjob restart --all` kills all engines and starts them again"
        } else {
            ""
        };
        let text = format!(
            "the hub has dropped {who}, and nothing has told of an end: nothing is ended, and what the hub drops never registers again{way}"
        );
        warning(out, text);
        self.engines.dropped.extend(ids);
        out.push(Effect::Publish);
    }
}

//! Engines that are one MPI world and start again together when one of them is lost. PURE.

use super::{DROP_PATIENCE, Effect, Machine, Phase, Stage, Timer, step_line};
use crate::failure::Failure;
use crate::plan::WantedWorld;
use crate::plan::engines::named;
use crate::plan::service::Name;
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
    /// Engines that left the hub's list: if they stay away, the set has ended.
    missed: BTreeSet<u32>,
}

impl Machine {
    /// The same, with engines that all start again together when one of them is lost. After `expecting_a_world`: each set is to see
    /// the same.
    #[must_use]
    pub fn restarting_the_set(mut self, wanted: bool) -> Self {
        self.engines.set = wanted.then(|| Set {
            world: self.world.clone(),
            ..Set::default()
        });
        self
    }

    /// Whether a set that ends now starts again.
    pub(super) fn restarts_the_set(&self) -> bool {
        self.engines.set.is_some() && matches!(self.phase, Phase::Up)
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
        if let Some(set) = &mut self.engines.set {
            set.missed.clear();
            set.due = false;
        }
        out.push(Effect::SetTimer(Timer::Nannies { start }, NANNIES));
    }

    /// The pause before the next start is over.
    pub(super) fn set_rested(&mut self, out: &mut Vec<Effect>) {
        if let Some(set) = &mut self.engines.set {
            set.due = true;
        }
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
        let Some(set) = self.engines.set.as_mut().filter(|set| set.due) else {
            return;
        };
        set.due = false;
        self.world.clone_from(&set.world);
        self.engines.lost.clear();
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
        self.fail(failure, out);
    }

    /// Engines left the hub's list: a rank that died, whose end srun is about to tell, or one that was silent too long.
    pub(super) fn missed_from_set(&mut self, gone: Vec<u32>, out: &mut Vec<Effect>) {
        let ready = self.stage(Name::Engines) == Stage::Ready && matches!(self.phase, Phase::Up);
        if let Some(set) = &mut self.engines.set
            && ready
            && !gone.is_empty()
        {
            set.missed.extend(gone);
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
    }

    /// They have stayed away, and nothing has told more of it.
    pub(super) fn say_missed(&mut self, out: &mut Vec<Effect>) {
        let engines = &mut self.engines;
        let (registered, expected) = (&engines.registered, engines.expected);
        let waits = engines.unexplained.is_some();
        let Some(set) = engines.set.as_mut().filter(|_| !waits) else {
            return;
        };
        set.missed
            .retain(|id| *id < expected && !registered.contains(id));
        let Some(first) = set.missed.first().copied() else {
            return;
        };
        let text = format!("{} left the hub's list", self.engine(first));
        out.push(self.show_engine(first));
        self.set_ended(Failure::new(self.kind_of_now(), text), out);
    }
}

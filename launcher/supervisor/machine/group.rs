//! Engines that are one MPI world and start again together when one of them is lost. PURE.

use super::engines::{Again, Engine};
use super::gone::Noticed;
use super::{Effect, End, Machine, Phase, Stage, step_line, warning};
use crate::failure::Failure;
use crate::plan::engines::named;
use crate::plan::name::{Name, Unit};
use core::time::Duration;

/// How long the hub may take to drop the ids of a set that has ended: its patience with a silent engine is 30 s, unless its own
/// options say otherwise.
const FORGETTING: Duration = Duration::from_secs(180);

/// How long nannies may take to tell the hub of the ends of their engines, which most do in 10 ms.
const NANNIES: Duration = Duration::from_secs(1);

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
    pub(super) fn end_the_set(&mut self, out: &mut Vec<Effect>) {
        for engine in self.engines.each_mut() {
            engine.forget();
            engine.lost = true;
        }
        self.engines.unexplained = None;
        self.enter(Unit::EngineGroup, Stage::Draining, NANNIES, out);
    }

    /// The pause before the next start is over.
    pub(super) fn set_rested(&mut self, out: &mut Vec<Effect>) {
        self.set_stage(Unit::EngineGroup, Stage::Due);
        self.start_the_set(out);
        if self.stage(Unit::EngineGroup) == Stage::Due {
            step_line(out, "the hub is to drop the engines that ended");
            self.limit_stage(Unit::EngineGroup, FORGETTING, out);
        }
    }

    /// Starts the set, if its turn has come: a hub that still knows an id gives the new engine another.
    pub(super) fn start_the_set(&mut self, out: &mut Vec<Effect>) {
        let hub = self.stage(Name::Controller) == Stage::Ready && self.believes_the_hub();
        let due = self.stage(Unit::EngineGroup) == Stage::Due;
        let known = self.engines.any(|engine| engine.listed);
        if !hub || !due || known || !matches!(self.phase, Phase::Up) {
            return;
        }
        self.world.clone_from(&self.engines.set.world);
        for engine in self.engines.each_mut() {
            let life = engine.life;
            *engine = Engine::default();
            engine.life = life;
            engine.forget();
        }
        self.engines.srun_said = None;
        self.engines.waits = None;
        step_line(out, "the engines start again");
        self.restart(Name::Engines, out);
    }

    /// The hub has kept ids of a set that has ended for long.
    pub(super) fn set_is_not_forgotten(&mut self, out: &mut Vec<Effect>) {
        if self.stage(Name::Controller) != Stage::Ready || !self.believes_the_hub() {
            // Another hub takes its time.
            return self.limit_stage(Unit::EngineGroup, FORGETTING, out);
        }
        let known = self.engines.ids(|engine| engine.listed);
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

    /// They have stayed away, and nothing has told more of it.
    pub(super) fn say_missed(&mut self, out: &mut Vec<Effect>) {
        if self.engines.unexplained.is_some() {
            return;
        }
        let missed = (self.engines).ids(|engine| engine.missed && !engine.listed && !engine.lost);
        for engine in self.engines.each_mut() {
            engine.missed = false;
        }
        let Some(first) = missed.first().copied() else {
            return;
        };
        if !self.engines.were_asked(&missed) {
            out.push(Effect::ShowLog(Unit::Engine(first)));
        }
        let kind = self.kind_of_now();
        let end = if self.engines.together() {
            Failure::new(kind, format!("{} left the hub's list", self.engine(first)))
        } else {
            let text = "the hub has dropped the last engine, and nothing has told of its end";
            Failure::new(kind, text)
                .hint("the hub drops engines that are silent for 30 s: stopped, starved or cut off")
        };
        self.gone(&missed, Noticed::SilentTasks, end, out);
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
    pub(super) fn spare(&mut self, ids: &[u32], out: &mut Vec<Effect>) {
        let who = match *ids {
            [id] => self.engine(id),
            _ => named("engine", ids),
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
        self.engines.drop_out(ids);
    }
}

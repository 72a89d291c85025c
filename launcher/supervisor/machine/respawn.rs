//! Engines that are started again when they end, where that was asked for. PURE.
//!
//! docs/design/restart.md explains the design.

use super::engines::{Again, Engine};
use super::unit::{Life, TRIES};
use super::{Effect, Look, Machine, Phase, SIGNAL_PATIENCE, Stage, step_line, warning};
use crate::failure::{About, Failure};
use crate::plan::name::{Name, Unit};
use core::time::Duration;

/// How many engines are on their way back at once: after the end of a whole step each is an srun of its own, and Slurm's
/// controller has other jobs to look after.
pub(super) const AT_ONCE: usize = 16;

impl Engine {
    /// Whether it is lost now and will be there again.
    pub(super) fn comes_back(&self) -> bool {
        matches!(self.life.stage, Stage::Resting | Stage::Due)
    }

    /// Whether it was started again and has come back.
    pub(super) fn is_back(&self) -> bool {
        self.life.stage == Stage::Ready && !self.again
    }

    /// Whether it was started again and has not registered.
    pub(super) fn arrives(&self) -> bool {
        self.life.stage == Stage::Starting
    }

    /// Whether it is on its way back, or is being ended for that.
    pub(super) fn is_on_its_way(&self) -> bool {
        self.comes_back() || self.arrives() || self.again
    }

    /// Gives it up if it was to be started again; false if it was not.
    pub(super) fn call_off(&mut self) -> bool {
        let waits = self.comes_back() && !self.again;
        if waits {
            self.life.stage = Stage::Ended;
        }
        waits
    }
}

impl Machine {
    /// The same, with engines that are started again when they end.
    #[must_use]
    pub fn replacing_engines(mut self, wanted: bool) -> Self {
        if wanted {
            self.engines.again = Again::Each;
        }
        self
    }

    /// Whether engines end one by one now: each is started again when it ends, or some were when they had.
    pub(super) fn replaces(&self) -> bool {
        (self.engines.each() || self.engines.any(Engine::has_left_the_step))
            && matches!(self.phase, Phase::Up)
    }

    /// The engines that live as a process of their own.
    pub(super) fn engines_of_their_own(&self) -> Vec<u32> {
        let service = self.services.get(&Name::Engines);
        let alive = service.into_iter().flat_map(|service| &service.alive);
        alive.filter_map(|unit| unit.engine()).collect()
    }

    /// One of engines that each end for itself did, and `end` tells how: it is started again, or lost.
    pub(super) fn engine_ended(&mut self, engine: u32, end: &Failure, out: &mut Vec<Effect>) {
        let process = Unit::Engine(engine);
        let each = self.engines.each();
        let Some(known) = self.engines.get_mut(engine) else {
            return;
        };
        let stays_away = !each || known.by_client;
        let life = &mut known.life;
        if core::mem::take(&mut known.again) {
            life.generation += 1;
            life.stage = Stage::Due;
            return self.replace_engines(out);
        }
        if stays_away {
            life.stage = Stage::Ended;
            self.engine_lost(engine, end, out);
            return self.replace_engines(out);
        }
        let attempts = life.attempts + 1;
        if Life::has_used_up(attempts) {
            life.stage = Stage::Ended;
            warning(
                out,
                format!(
                    "{process} was started again {TRIES} times and ended each time: the job goes on without it"
                ),
            );
            self.engine_lost(engine, end, out);
            // Others may have waited for it to come.
            return self.replace_engines(out);
        }
        life.attempts = attempts;
        life.generation += 1;
        let pause = life.pause();
        if self.engines.step {
            // Preempted with a grace time, engines get Slurm's signal at its begin and we only at its end.
            out.push(Effect::Look(Look::Preemption));
        }
        // What Slurm takes down with the whole job is not to be started again before its signal has told us.
        let pause = if end.about == Some(About::JobEnds) {
            SIGNAL_PATIENCE.max(pause)
        } else {
            pause
        };
        warning(
            out,
            format!(
                "{process} is started again ({attempts} of {TRIES}): what it had in its memory is lost"
            ),
        );
        self.enter(process, Stage::Resting, pause, out);
        self.replace_engines(out);
    }

    /// An engine that ended is not started again; false where that is so already, or it is on its way and tells its end itself.
    pub(super) fn give_up_engine(&mut self, id: u32) -> bool {
        let found = self.engines.get_mut(id);
        let Some(engine) = found.filter(|engine| engine.lost && engine.has_left_the_step()) else {
            return false;
        };
        let was = core::mem::replace(&mut engine.life.stage, Stage::Ended);
        was != Stage::Ended
    }

    /// An engine that was started again has not registered in its time.
    pub(super) fn engine_too_late(&mut self, id: u32, limit: Duration, out: &mut Vec<Effect>) {
        let process = Unit::Engine(id);
        if self.engines.step {
            out.push(Effect::ShowLog(process));
        }
        let seconds = limit.as_secs_f64();
        warning(
            out,
            format!("{process} did not register within {seconds} s"),
        );
        out.push(Effect::Kill(process));
    }

    /// Starts the engines whose turn it is, and notes those that have come: the hub's list has changed, or a pause is over.
    pub(super) fn replace_engines(&mut self, out: &mut Vec<Effect>) {
        let hub = self.stage(Name::Controller) == Stage::Ready && self.believes_the_hub();
        let ready = self.stage(Name::Engines) == Stage::Ready;
        if !hub || !ready || !matches!(self.phase, Phase::Up) {
            return;
        }
        let limit = self.limit_of_start(Name::Engines);
        let arrives = |engine: &Engine| engine.arrives() && !engine.listed;
        let mut arriving = self.engines.ids(arrives).len();
        for engine in self.engines.ids(Engine::has_left_the_step) {
            let Some(known) = self.engines.get_mut(engine) else {
                continue;
            };
            let listed = known.listed;
            if known.life.stage == Stage::Due && !listed && arriving < AT_ONCE {
                arriving += 1;
                known.life.more = Duration::ZERO;
                known.lost = false;
                known.by_client = false;
                let unit = Unit::Engine(engine);
                if let Some(service) = self.services.get_mut(&Name::Engines) {
                    service.alive.insert(unit);
                }
                out.push(Effect::Start { unit, again: true });
                self.enter(unit, Stage::Starting, limit, out);
            } else if known.life.stage == Stage::Starting && listed {
                known.life.stage = Stage::Ready;
                step_line(
                    out,
                    format!("engine {engine} is back, with an empty memory"),
                );
                self.works_again(Unit::Engine(engine), out);
            }
        }
    }

    /// Somebody asked for these engines: each starts as soon as the hub has dropped its id. Those that live are ended first.
    pub(super) fn start_each(&mut self, ids: &[u32], out: &mut Vec<Effect>) {
        for id in ids {
            let Some(engine) = self.engines.get_mut(*id) else {
                continue;
            };
            let life = &mut engine.life;
            life.attempts = 0;
            if !engine.lost && life.stage != Stage::Starting {
                life.stage = Stage::Ready;
                engine.again = true;
                out.push(Effect::Kill(Unit::Engine(*id)));
            } else if engine.lost && life.stage != Stage::Due {
                life.generation += 1;
                life.stage = Stage::Due;
            }
        }
        self.replace_engines(out);
    }
}

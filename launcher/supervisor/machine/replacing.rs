//! Engines that are started again when they end, where that was asked for. PURE.

mod on_request;

use super::engines::{Again, Engines};
use super::healing::{HEALTHY, PAUSES};
use super::{Effect, Machine, Phase, SIGNAL_PATIENCE, Stage, Timer, step_line, warning};
use crate::failure::{About, Failure};
use crate::plan::engines::named;
use crate::plan::name::{Name, ProcessId};
use core::time::Duration;

/// How many engines are on their way back at once: after the end of a whole step each is an srun of its own, and Slurm's
/// controller has other jobs to look after.
pub(super) const AT_ONCE: usize = 16;

/// What has become of an engine that ended.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Replaced {
    /// Which of its starts this is, or comes next: 0 was the first.
    start: u32,
    /// Ends since it was last well for long.
    ends: u32,
    /// Whether it is being ended to be started again.
    again: bool,
    state: State,
    /// By how much the limit of its start was put off, because it got on.
    more: Duration,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// The pause after its end.
    #[default]
    Resting,
    /// It is started as soon as the hub has dropped its id: a hub that still knows it gives the new one another.
    Due,
    /// It was started, and is not registered.
    Arriving,
    /// It works.
    Well,
    /// It is not started again.
    GivenUp,
}

impl Engines {
    /// Whether an engine that is lost now will be there again.
    pub(super) fn any_comes_back(&self) -> bool {
        self.replaced
            .values()
            .any(|replaced| matches!(replaced.state, State::Resting | State::Due))
    }

    /// Whether an engine has ended before: what is told of the task that it was in the first step counts no more.
    pub(super) fn has_left_the_step(&self, id: u32) -> bool {
        self.replaced.contains_key(&id)
    }

    /// Whether an engine was started again and has come back.
    pub(super) fn is_back(&self, id: u32) -> bool {
        let replaced = self.replaced.get(&id);
        replaced.is_some_and(|replaced| replaced.state == State::Well && !replaced.again)
    }

    /// Whether an engine was started again and has not registered.
    pub(super) fn arrives(&self, id: u32) -> bool {
        let replaced = self.replaced.get(&id);
        replaced.is_some_and(|replaced| replaced.state == State::Arriving)
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
        (self.engines.each() || !self.engines.replaced.is_empty())
            && matches!(self.phase, Phase::Up)
    }

    /// The process that an engine is when it has been started again.
    #[must_use]
    pub fn own_process(&self, engine: u32) -> ProcessId {
        if self.engines.step {
            ProcessId::own_step(engine)
        } else {
            ProcessId {
                service: Name::Engines,
                index: engine,
            }
        }
    }

    /// The engines that live as a process of their own.
    pub(super) fn engines_of_their_own(&self) -> Vec<u32> {
        let step = self.engines.step;
        let engine = |index: &u32| {
            let service = Name::Engines;
            let process = ProcessId {
                service,
                index: *index,
            };
            if step {
                process.engine_of_own_step()
            } else {
                Some(*index)
            }
        };
        let life = self.lives.get(&Name::Engines);
        life.map_or_else(Vec::new, |life| {
            life.alive.iter().filter_map(engine).collect()
        })
    }

    /// An engine ended, and `end` tells how: it is started again, or lost.
    pub(super) fn engine_ended(
        &mut self,
        process: ProcessId,
        end: &Failure,
        out: &mut Vec<Effect>,
    ) {
        if !self.replaces() {
            return self.engine_lost(process, end, out);
        }
        let engine = process.engine_of_own_step().unwrap_or(process.index);
        let stays_away = !self.engines.each() || self.engines.by_client.contains(&engine);
        let replaced = self.engines.replaced.entry(engine).or_default();
        if core::mem::take(&mut replaced.again) {
            replaced.start += 1;
            replaced.state = State::Due;
            return self.replace_engines(out);
        }
        if stays_away {
            replaced.state = State::GivenUp;
            self.engine_lost(process, end, out);
            return self.replace_engines(out);
        }
        replaced.ends += 1;
        let tries = PAUSES.len();
        let Some(pause) = PAUSES.get(replaced.ends as usize - 1) else {
            replaced.state = State::GivenUp;
            warning(
                out,
                format!(
                    "{process} was started again {tries} times and ended each time: the job goes on without it"
                ),
            );
            self.engine_lost(process, end, out);
            // Others may have waited for it to come.
            return self.replace_engines(out);
        };
        if self.engines.step {
            // Preempted with a grace time, engines get Slurm's signal at its begin and we only at its end.
            out.push(Effect::AskForPreemption);
        }
        // What Slurm takes down with the whole job is not to be started again before its signal has told us.
        let pause = if end.about == Some(About::JobEnds) {
            SIGNAL_PATIENCE.max(*pause)
        } else {
            *pause
        };
        replaced.start += 1;
        replaced.state = State::Resting;
        let timer = Timer::Replace {
            engine,
            start: replaced.start,
        };
        warning(
            out,
            format!(
                "{process} is started again ({} of {tries}): what it had in its memory is lost",
                replaced.ends
            ),
        );
        out.push(Effect::SetTimer(timer, pause));
        out.push(Effect::Publish);
        self.replace_engines(out);
    }

    /// One of an engine's timers ran out.
    pub(super) fn replacing_timer(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        let (Timer::Replace { engine, start }
        | Timer::Arrive { engine, start }
        | Timer::Settled { engine, start }) = timer
        else {
            return;
        };
        let all = &mut self.engines.replaced;
        let Some(replaced) = all
            .get_mut(&engine)
            .filter(|replaced| replaced.start == start)
        else {
            return;
        };
        match (timer, replaced.state) {
            (Timer::Replace { .. }, State::Resting) => {
                replaced.state = State::Due;
                self.replace_engines(out);
            }
            (Timer::Arrive { .. }, State::Arriving) => out.push(Effect::LookForProgress(timer)),
            (Timer::Settled { .. }, State::Well) => {
                replaced.ends = replaced.ends.saturating_sub(1);
                if replaced.ends > 0 {
                    out.push(Effect::SetTimer(timer, HEALTHY));
                }
            }
            _ => {}
        }
    }

    /// An engine that ended is not started again; false where that is so already, or it is on its way and tells its end itself.
    pub(super) fn give_up_engine(&mut self, id: u32) -> bool {
        let lost = self.engines.lost.contains(&id);
        let Some(replaced) = self.engines.replaced.get_mut(&id).filter(|_| lost) else {
            return false;
        };
        let was = core::mem::replace(&mut replaced.state, State::GivenUp);
        was != State::GivenUp
    }

    /// By how much the limit of an engine was put off that arrives, by this very start.
    pub(super) fn more_for_engine(&mut self, id: u32, start: u32) -> Option<&mut Duration> {
        let replaced = self.engines.replaced.get_mut(&id)?;
        (replaced.start == start && replaced.state == State::Arriving).then_some(&mut replaced.more)
    }

    /// An engine that was started again has not registered in its time.
    pub(super) fn engine_too_late(&mut self, id: u32, limit: Duration, out: &mut Vec<Effect>) {
        let process = self.own_process(id);
        if self.engines.step {
            out.push(Effect::ShowLog(process));
        }
        let seconds = limit.as_secs_f64();
        warning(
            out,
            format!("{process} did not register within {seconds} s"),
        );
        out.push(Effect::KillOne(process));
    }

    /// Starts the engines whose turn it is, and notes those that have come: the hub's list has changed, or a pause is over.
    pub(super) fn replace_engines(&mut self, out: &mut Vec<Effect>) {
        let hub = self.stage(Name::Controller) == Stage::Ready && self.believes_the_hub();
        let ready = self.stage(Name::Engines) == Stage::Ready;
        if !hub || !ready || !matches!(self.phase, Phase::Up) {
            return;
        }
        let limit = self.limit_of_start(Name::Engines);
        let ids: Vec<u32> = self.engines.replaced.keys().copied().collect();
        let come = |id: &&u32| self.engines.arrives(**id) && !self.engines.registered.contains(id);
        let mut arriving = ids.iter().filter(come).count();
        for engine in ids {
            let index = self.own_process(engine).index;
            let registered = self.engines.registered.contains(&engine);
            let Some(replaced) = self.engines.replaced.get_mut(&engine) else {
                continue;
            };
            let start = replaced.start;
            if replaced.state == State::Due && !registered && arriving < AT_ONCE {
                arriving += 1;
                replaced.state = State::Arriving;
                replaced.more = Duration::ZERO;
                self.engines.lost.remove(&engine);
                self.engines.by_client.remove(&engine);
                if let Some(life) = self.lives.get_mut(&Name::Engines) {
                    life.alive.insert(index);
                }
                out.push(Effect::Replace(engine));
                out.push(Effect::SetTimer(Timer::Arrive { engine, start }, limit));
                out.push(Effect::Publish);
            } else if replaced.state == State::Arriving && registered {
                replaced.state = State::Well;
                step_line(
                    out,
                    format!("engine {engine} is back, with an empty memory"),
                );
                out.push(Effect::SetTimer(Timer::Settled { engine, start }, HEALTHY));
                out.push(Effect::Publish);
            }
        }
    }

    /// Engines that the hub has dropped although they live: they never register again, so they are killed, and so replaced.
    /// False where that was not asked for.
    pub(super) fn replace_dropped(&mut self, ids: &[u32], out: &mut Vec<Effect>) -> bool {
        if !self.engines.each() {
            return false;
        }
        warning(
            out,
            format!(
                "the hub has dropped {} although the process lives: it was silent too long, and is replaced",
                named("engine", ids)
            ),
        );
        for id in ids {
            out.push(Effect::KillOne(self.own_process(*id)));
        }
        true
    }
}

//! Engines that are started again: each by itself or all together when they end, and when their user asks for it. PURE.
//!
//! docs/design/restart.md explains the design.

use super::engines::{Again, Engine, Startable};
use super::gone::Noticed;
use super::unit::{Life, TRIES};
use super::{Effect, End, Look, Machine, Phase, SIGNAL_PATIENCE, Stage, step_line, warning};
use crate::failure::{About, Failure};
use crate::plan::engines::named;
use crate::plan::name::{Name, Unit};
use crate::supervisor::event::Answer;
use core::time::Duration;

/// How many engines are on their way back at once: after the end of a whole step each is an srun of its own, and Slurm's
/// controller has other jobs to look after.
pub(super) const AT_ONCE: usize = 16;

/// Each by itself.
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

    /// An engine that was ended to be started again has ended.
    pub(super) fn start_when_dropped(&mut self, id: u32) {
        if let Some(engine) = self.engines.get_mut(id) {
            engine.again = false;
            engine.life.generation += 1;
            engine.life.stage = Stage::Due;
        }
    }

    /// An engine that is started again by itself has ended.
    pub(super) fn respawn(&mut self, id: u32, end: &Failure, out: &mut Vec<Effect>) {
        let unit = Unit::Engine(id);
        let Some(life) = self.life_mut(unit) else {
            return;
        };
        let attempts = life.attempts + 1;
        if Life::has_used_up(attempts) {
            let text = format!(
                "{unit} was restarted {TRIES} times and ended each time: the job continues without it"
            );
            warning(out, text);
            return self.lose(id, end, out);
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
        let text =
            format!("restarting {unit} ({attempts} of {TRIES}): what it had in memory is lost");
        warning(out, text);
        self.enter(unit, Stage::Resting, pause, out);
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

/// How long the hub may take to drop the ids of a set that has ended: its patience with a silent engine is 30 s, unless its own
/// options say otherwise.
const FORGETTING: Duration = Duration::from_secs(180);

/// How long nannies may take to tell the hub of the ends of their engines, which most do in 10 ms.
const NANNIES: Duration = Duration::from_secs(1);

/// All together, when one of a set is lost: they may be one MPI world.
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

    /// Ends what is left of the set, on all nodes. None is asked: that would finalize MPI, which waits for the lost one. Before,
    /// nannies that outlive their engines have the time to tell a hub that hears nothing from us.
    pub(super) fn end_the_set(&mut self, out: &mut Vec<Effect>) {
        for engine in self.engines.each_mut() {
            engine.forget();
        }
        let all = self.engines.ids(|_| true);
        self.engines.lose(&all);
        self.engines.unexplained = None;
        let pause = if self.engines.hub_hears {
            Duration::ZERO
        } else {
            NANNIES
        };
        self.enter(Unit::EngineGroup, Stage::Draining, pause, out);
    }

    /// The pause before the next start is over.
    pub(super) fn set_rested(&mut self, out: &mut Vec<Effect>) {
        self.set_stage(Unit::EngineGroup, Stage::Due);
        self.start_the_set(out);
        if self.stage(Unit::EngineGroup) == Stage::Due {
            step_line(out, "waiting for the hub to drop the engines that ended");
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
        self.engines.bad_request = None;
        self.engines.waits = None;
        if !self.on_hold {
            step_line(out, "restarting the engines");
        }
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
            "--controller-arg=--HeartMonitor.max_heartmonitor_misses=N makes it drop them sooner",
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
            let text = "the hub has dropped the last engine, and nothing reported its end";
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
            "the hub has dropped {who}, and nothing reported an end: nothing is ended, and a dropped engine never registers again{way}"
        );
        warning(out, text);
        self.engines.drop_out(ids);
    }
}

/// A request that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    id: String,
    /// The last thing that went wrong since.
    cause: Option<String>,
}

/// Because their user asks for it (`ipjob restart`).
impl Machine {
    /// The same, with engines that can be started again in these ways.
    #[must_use]
    pub fn starting_again(mut self, ways: Startable) -> Self {
        self.engines.startable = ways;
        self
    }

    /// The user asks for the engines that are lost, or for all of them anew.
    pub(super) fn restart_asked(&mut self, request: String, all: bool, out: &mut Vec<Effect>) {
        let lost = self.lost_or_dropped();
        if let Some(why) = self.refusal(&lost, all) {
            let answer = Answer::Failed(why);
            return out.push(Effect::Answer { request, answer });
        }
        if let Some(before) = self.request.take() {
            let answer = Answer::Failed("a newer request replaces it".to_owned());
            let request = before.id;
            out.push(Effect::Answer { request, answer });
        }
        let what = if all { "all engines" } else { "lost engines" };
        step_line(out, format!("`ipjob restart`: restarting {what}"));
        out.push(Effect::Answer {
            request: request.clone(),
            answer: Answer::Running,
        });
        self.request = Some(Request {
            id: request,
            cause: None,
        });
        self.hub_asked = false;
        if self.comes_back(Name::Controller) {
            self.disbelieve_the_hub();
            self.clear(Name::Controller, out);
        }
        let whole = all || lost.len() == self.engines.expected() as usize;
        if self.comes_back(Name::Engines) {
            self.clear(Name::Engines, out);
        } else if self.engines.startable.together && whole {
            self.end_to_start_anew(out);
        } else if all {
            let ids = self.engines.ids(|_| true);
            self.start_each(&ids, out);
        } else {
            self.start_each(&lost, out);
        }
    }

    /// What the hub lists is not what lives, until a new hub has had the time to tell.
    pub(super) fn disbelieve_the_hub(&mut self) {
        let known = self.engines.listed();
        self.engines.recounted.get_or_insert(known);
    }

    /// Why nothing can be done.
    fn refusal(&self, lost: &[u32], all: bool) -> Option<String> {
        let ways = self.engines.startable;
        let living = self.engines.expected() as usize > lost.len();
        if !matches!(self.phase, Phase::Up) {
            Some("the job has not been ready yet".to_owned())
        } else if !ways.at_all() {
            Some("srun or mpiexec started ipjob itself together with the engines: they cannot be restarted in this job".to_owned())
        } else if !all && living && !lost.is_empty() && !self.can_each(lost) {
            let lost = named("engine", lost);
            Some(format!(
                "{lost} cannot be restarted alone; --all ends the others and restarts all of them"
            ))
        } else {
            None
        }
    }

    /// Whether these engines can be started again while others live: a task that the hub has dropped cannot be ended alone.
    fn can_each(&self, ids: &[u32]) -> bool {
        let own = self.engines_of_their_own();
        let alone = |id: &u32| self.engines.is(*id, |engine| engine.lost) || own.contains(id);
        self.engines.startable.each && ids.iter().all(alone)
    }

    /// Engines that have ended, or that the hub has dropped for good although they live.
    fn lost_or_dropped(&self) -> Vec<u32> {
        self.engines
            .ids(|engine| engine.lost || engine.dropped || (engine.missed && !engine.listed))
    }

    /// A service that was given up, or that is on its way back after ends of its own, has all its tries again; true where it has
    /// to be set going.
    fn comes_back(&mut self, name: Name) -> bool {
        let Some(service) = self.services.get_mut(&name) else {
            return false;
        };
        let life = &mut service.life;
        let set_going = match life.stage {
            Stage::Ended => {
                life.stage = Stage::Clearing;
                life.generation += 1;
                service.swept = true;
                true
            }
            Stage::Draining | Stage::Clearing => life.given_up,
            _ => false,
        };
        life.given_up = false;
        life.attempts = 0;
        set_going
    }

    /// Ends all engines, without asking, and starts them together. What hangs in a collective does not hear.
    fn end_to_start_anew(&mut self, out: &mut Vec<Effect>) {
        let Some(service) = self.services.get_mut(&Name::Engines) else {
            return;
        };
        if !matches!(service.life.stage, Stage::Starting | Stage::Ready) {
            return;
        }
        service.swept = false;
        service.life.generation += 1;
        self.end_the_set(out);
    }

    /// What was left of engines that each are a process of their own is gone.
    pub(super) fn each_rested(&mut self, out: &mut Vec<Effect>) {
        self.set_stage(Name::Engines, Stage::Ready);
        let lost = self.engines.ids(|engine| engine.lost);
        self.start_each(&lost, out);
    }

    /// Something went wrong: if a request waits for its answer, that is the cause.
    pub(super) fn note_cause(&mut self, failure: &Failure) {
        if let Some(request) = &mut self.request {
            request.cause = Some(failure.to_string());
        }
    }

    /// Answers the request once all is there, or nothing more comes.
    pub(super) fn settle_request(&mut self, out: &mut Vec<Effect>) {
        if self.request.is_none() {
            return;
        }
        let there = |name: Name| self.stage(name) == Stage::Ready;
        let coming = |name: Name| {
            let life = self.life(name);
            life.is_some_and(|life| {
                !life.given_up
                    && matches!(
                        life.stage,
                        Stage::Starting
                            | Stage::Draining
                            | Stage::Clearing
                            | Stage::Resting
                            | Stage::Due
                    )
            })
        };
        let ready = there(Name::Controller) && there(Name::Engines) && self.believes_the_hub();
        let more = coming(Name::Controller)
            || coming(Name::Engines)
            || self.engines.any_on_its_way()
            || (there(Name::Controller) && !self.believes_the_hub());
        let up = matches!(self.phase, Phase::Up);
        let (counted, expected) = (self.engines.counted(), self.engines.expected());
        let text = format!("{counted} of {expected} engines are running");
        let answer = if up && ready && self.engines.complete() && !self.engines.any_on_its_way() {
            Answer::Done(text)
        } else if up && more {
            return;
        } else {
            let cause = self.request.as_ref().and_then(|request| {
                let cause = request.cause.clone();
                cause.or_else(|| self.reason().map(str::to_owned))
            });
            Answer::Failed(cause.map_or(text.clone(), |cause| format!("{text}: {cause}")))
        };
        if let Some(Request { id: request, .. }) = self.request.take() {
            out.push(Effect::Answer { request, answer });
        }
    }
}

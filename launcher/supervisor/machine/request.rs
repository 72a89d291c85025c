//! Engines that are started again because their user asks for it (`ipjob restart`). PURE.

use super::{Effect, Machine, Phase, Stage, step_line};
use crate::failure::Failure;
use crate::plan::engines::named;
use crate::plan::name::Name;
use crate::supervisor::event::Answer;

/// In which ways engines can be started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Startable {
    /// Each by itself.
    pub each: bool,
    /// All together, as the one step or under the one mpiexec that they were.
    pub together: bool,
}

impl Startable {
    /// Whether there is one.
    pub(super) fn at_all(self) -> bool {
        self.each || self.together
    }
}

/// A request that has not been answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    id: String,
    /// The last thing that went wrong since.
    cause: Option<String>,
}

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
            let answer = Answer::Failed("another request has come after it".to_owned());
            let request = before.id;
            out.push(Effect::Answer { request, answer });
        }
        let what = if all { "all engines" } else { "lost engines" };
        step_line(out, format!("`ipjob restart`: {what} are started again"));
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
            Some("srun or mpiexec started ipjob itself together with the engines: they cannot be started again in this job".to_owned())
        } else if !all && living && !lost.is_empty() && !self.can_each(lost) {
            let lost = named("engine", lost);
            Some(format!(
                "{lost}: not by themselves; --all ends the others and starts all of them again"
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
        let text = format!("{counted} of {expected} engines are there");
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

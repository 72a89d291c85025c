//! Controller and Jupyter are started again when they end while the job is up: the engines hold the data, and all around them
//! can be replaced. PURE.
//!
//! docs/design/restart.md explains the design.

use super::unit::{Life, TRIES};
use super::{Effect, End, Machine, Phase, Stage, Timer, step_line, warning};
use crate::failure::Failure;
use crate::plan::name::{Name, Unit};
use core::time::Duration;
use std::collections::BTreeSet;

/// How long the hub's list of engines is not believed after a restart: it grows as the hub reads it, and it is looked at every
/// 2 s.
const RECOUNT: Duration = Duration::from_secs(3);

impl Machine {
    /// A service cannot work any more: it is started again where that is possible, or the job ends.
    pub(super) fn mend_or_fail(&mut self, name: Name, failure: Failure, out: &mut Vec<Effect>) {
        let mendable = match name {
            Name::Controller | Name::Jupyter => matches!(self.phase, Phase::Up),
            Name::Engines => self.restarts_the_set(),
            Name::Driver => false,
        };
        if name == Name::Controller && self.hub_asked {
            return self.shut_down(name, out);
        }
        let goes_on = self.cluster_works();
        let Some(service) = self.services.get_mut(&name).filter(|_| mendable) else {
            return self.gone_for_good(name, End::of(failure), out);
        };
        let next = service.life.attempts + 1;
        let given_up = Life::has_used_up(next);
        if given_up && !(name == Name::Jupyter && goes_on) {
            return self.give_up(name, failure, out);
        }
        service.swept = false;
        service.life.attempts = next;
        service.life.given_up = given_up;
        service.life.generation += 1;
        if name == Name::Controller {
            self.disbelieve_the_hub();
        }
        let what = if given_up {
            format!("it was started again {TRIES} times: the job goes on as cluster-only")
        } else {
            let who = if name == Name::Engines {
                "the whole set"
            } else {
                "it"
            };
            format!("{who} is started again ({next} of {TRIES})")
        };
        warning(out, format!("{failure}; {what}"));
        if !given_up {
            warning(out, lost_with(name));
        }
        out.push(Effect::Mark(format!("{name} ended: {failure}")));
        if given_up {
            out.push(Effect::GiveUp(name.into()));
        }
        if name == Name::Engines {
            self.end_the_set(out);
        } else {
            self.clear_away(name, out);
        }
    }

    /// This service has ended too often.
    fn give_up(&mut self, name: Name, failure: Failure, out: &mut Vec<Effect>) {
        let times = format!("started again {TRIES} times and ended each time");
        let text = if name == Name::Engines {
            format!("the engines were {times}")
        } else {
            format!("{name} was {times}")
        };
        let hint = "its log tells why: a memory or disk that is full would do it to every one";
        let failure = Failure::service(text).because(failure).hint(hint);
        self.gone_for_good(name, End::of(failure), out);
    }

    /// A service is ready: not for the first time?
    pub(super) fn became_ready_again(&mut self, name: Name, out: &mut Vec<Effect>) {
        let generation = self.life(name).map_or(0, |life| life.generation);
        if generation == 0 {
            return;
        }
        self.works_again(name, out);
        if name == Name::Controller {
            out.push(Effect::SetTimer(Timer::Recount { generation }, RECOUNT));
        }
    }

    /// The hub's engine file changed. While the controller is being replaced it tells nothing of the engines.
    pub(super) fn listed(&mut self, ids: BTreeSet<u32>, out: &mut Vec<Effect>) {
        match &mut self.engines.recounted {
            Some(recounted) => *recounted = ids,
            None => self.registered(&ids, out),
        }
    }

    /// Whether the hub's list tells which engines there are: not while the controller is being replaced.
    #[must_use]
    pub fn believes_the_hub(&self) -> bool {
        self.engines.recounted.is_none()
    }

    /// Engines whose end is known.
    #[must_use]
    pub fn lost_engines(&self) -> BTreeSet<u32> {
        self.engines.ids(|engine| engine.lost).into_iter().collect()
    }

    /// A controller that was started again has had the time to tell which engines it knows.
    pub(super) fn recounted(&mut self, generation: u32, out: &mut Vec<Effect>) {
        if !self.is_at(Unit::Controller, Stage::Ready, generation) {
            return;
        }
        if let Some(ids) = self.engines.recounted.take() {
            let known = ids.len();
            step_line(out, format!("the hub knows {known} engines again"));
            self.registered(&ids, out);
        }
        self.replace_engines(out);
        self.start_the_set(out);
    }
}

/// What no restart brings back.
fn lost_with(name: Name) -> &'static str {
    match name {
        Name::Jupyter => {
            "jupyter's kernels ended with it: variables in the engines are kept, those in kernels are lost"
        }
        Name::Engines => "what the engines had in their memories is lost",
        _ => {
            "engines keep their variables and go on; tasks on their way through it, and all unfinished ones of load-balanced views, are lost: send those again"
        }
    }
}

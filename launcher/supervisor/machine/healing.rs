//! Controller and Jupyter are started again when they end while the job is up: the engines hold the data, and all around them
//! can be replaced. PURE.

use super::{Effect, End, KILL_PATIENCE, Machine, Phase, Stage, Timer, step_line, warning};
use crate::failure::Failure;
use crate::plan::name::Name;
use core::time::Duration;
use std::collections::BTreeSet;

/// How often a service is started again before it is given up, and the pause before each: the first end is most often an
/// accident, and the last is a disk or a memory that is full and may take a while.
pub(super) const PAUSES: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(3),
    Duration::from_secs(10),
    Duration::from_secs(30),
];

/// A service that was started again and works for so long has one of its restarts back, and so on.
pub(super) const HEALTHY: Duration = Duration::from_secs(60);

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
        let Some(life) = self.lives.get_mut(&name).filter(|_| mendable) else {
            return self.gone_for_good(name, End::of(failure), out);
        };
        let tries = PAUSES.len();
        let next = life.restarts + 1;
        let given_up = next as usize > tries;
        if given_up && !(name == Name::Jupyter && goes_on) {
            return self.give_up(name, failure, out);
        }
        life.stage = Stage::Clearing;
        life.swept = false;
        life.given_up = given_up;
        life.start += 1;
        let start = life.start;
        if name == Name::Controller {
            self.disbelieve_the_hub();
        }
        let what = if given_up {
            format!("it was started again {tries} times: the job goes on as cluster-only")
        } else {
            let who = if name == Name::Engines {
                "the whole set"
            } else {
                "it"
            };
            format!("{who} is started again ({next} of {tries})")
        };
        warning(out, format!("{failure}; {what}"));
        if !given_up {
            warning(out, lost_with(name));
        }
        out.push(Effect::Mark(format!("{name} ended: {failure}")));
        if given_up {
            out.push(Effect::GiveUp(name));
        }
        if name == Name::Engines {
            self.end_the_set(start, out);
        } else {
            Self::clear_away(name, start, out);
        }
        out.push(Effect::Publish);
    }

    /// Kills what is left of a service that died.
    pub(super) fn clear_away(name: Name, start: u32, out: &mut Vec<Effect>) {
        out.push(Effect::Kill(name));
        out.push(Effect::Sweep {
            service: Some(name),
            limit: None,
        });
        let timer = Timer::Clear {
            service: name,
            start,
        };
        out.push(Effect::SetTimer(timer, KILL_PATIENCE));
    }

    /// This service has ended too often.
    fn give_up(&mut self, name: Name, failure: Failure, out: &mut Vec<Effect>) {
        let tries = PAUSES.len();
        let times = format!("started again {tries} times and ended each time");
        let text = if name == Name::Engines {
            format!("the engines were {times}")
        } else {
            format!("{name} was {times}")
        };
        let hint = "its log tells why: a memory or disk that is full would do it to every one";
        let failure = Failure::service(text).because(failure).hint(hint);
        self.gone_for_good(name, End::of(failure), out);
    }

    /// Nothing that a service left runs any more.
    pub(super) fn swept(&mut self, service: Option<Name>, out: &mut Vec<Effect>) {
        let Some(name) = service else {
            return;
        };
        if self.stage(name) == Stage::Clearing
            && let Some(life) = self.lives.get_mut(&name)
        {
            life.swept = true;
            self.clear(name, out);
        }
    }

    /// Goes on once nothing of a service that died is left: one process that lives on would keep its ports.
    pub(super) fn clear(&mut self, name: Name, out: &mut Vec<Effect>) {
        let Some(life) = self.lives.get_mut(&name) else {
            return;
        };
        if !life.swept || !life.alive.is_empty() {
            return;
        }
        let pause = PAUSES.get(life.restarts as usize);
        let Some(pause) = pause.filter(|_| !life.given_up) else {
            life.stage = Stage::Ended;
            out.push(Effect::Publish);
            return;
        };
        life.stage = Stage::Resting;
        let start = life.start;
        if pause.is_zero() {
            self.rested(name, out);
        } else {
            let timer = Timer::Rest {
                service: name,
                start,
            };
            out.push(Effect::SetTimer(timer, *pause));
        }
    }

    /// The pause is over.
    fn rested(&mut self, name: Name, out: &mut Vec<Effect>) {
        match name {
            Name::Engines if self.engines.step => self.set_rested(out),
            Name::Engines => self.each_rested(out),
            _ => self.restart(name, out),
        }
    }

    /// Starts a service again.
    pub(super) fn restart(&mut self, name: Name, out: &mut Vec<Effect>) {
        let limit = self.limit_of_start(name);
        let processes = self
            .rules
            .iter()
            .find(|rule| rule.name == name)
            .map_or(1, |rule| rule.processes);
        let Some(life) = self.lives.get_mut(&name) else {
            return;
        };
        life.stage = Stage::Starting;
        life.restarts += 1;
        life.lack = None;
        life.more = Duration::ZERO;
        life.alive = (0..processes).collect();
        let timer = Timer::Service {
            service: name,
            start: life.start,
        };
        out.push(Effect::Restart(name));
        out.push(Effect::SetTimer(timer, limit));
        out.push(Effect::Publish);
    }

    /// A service is ready: not for the first time?
    pub(super) fn became_ready_again(&mut self, name: Name, out: &mut Vec<Effect>) {
        let Some(start) = self.lives.get(&name).map(|life| life.start) else {
            return;
        };
        if start == 0 {
            return;
        }
        let timer = Timer::Healthy {
            service: name,
            start,
        };
        out.push(Effect::SetTimer(timer, HEALTHY));
        if name == Name::Controller {
            out.push(Effect::SetTimer(Timer::Recount { start }, RECOUNT));
        }
    }

    /// The hub's engine file changed. While the controller is being replaced it tells nothing of the engines.
    pub(super) fn listed(&mut self, ids: BTreeSet<u32>, out: &mut Vec<Effect>) {
        match &mut self.engines.recounted {
            Some(recounted) => *recounted = ids,
            None => self.registered(ids, out),
        }
    }

    /// Whether the hub's list tells which engines there are: not while the controller is being replaced.
    #[must_use]
    pub fn believes_the_hub(&self) -> bool {
        self.engines.recounted.is_none()
    }

    /// Engines whose end is known.
    #[must_use]
    pub fn lost_engines(&self) -> &BTreeSet<u32> {
        &self.engines.lost
    }

    /// One of healing's timers ran out.
    pub(super) fn healing_timer(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Clear { service, start } if self.is_at(service, Stage::Clearing, start) => {
                // Nothing forces a decision: what else there is goes on, engines wait for a controller, and end if it takes too long.
                out.push(Effect::SayWhatLives {
                    service: Some(service),
                    then: "what takes its place waits for its end",
                });
            }
            Timer::Rest { service, start } if self.is_at(service, Stage::Resting, start) => {
                self.rested(service, out);
            }
            Timer::Nannies { start } if self.is_at(Name::Engines, Stage::Clearing, start) => {
                out.push(Effect::EndStep);
                Self::clear_away(Name::Engines, start, out);
            }
            Timer::Forgotten { start } if self.is_at(Name::Engines, Stage::Resting, start) => {
                self.set_is_not_forgotten(start, out);
            }
            Timer::Healthy { service, start } if self.is_at(service, Stage::Ready, start) => {
                if let Some(life) = self.lives.get_mut(&service) {
                    life.restarts = life.restarts.saturating_sub(1);
                    if life.restarts > 0 {
                        out.push(Effect::SetTimer(timer, HEALTHY));
                    }
                }
            }
            Timer::Recount { start } if self.is_at(Name::Controller, Stage::Ready, start) => {
                if let Some(ids) = self.engines.recounted.take() {
                    let known = ids.len();
                    step_line(out, format!("the hub knows {known} engines again"));
                    self.registered(ids, out);
                }
                self.replace_engines(out);
                self.start_the_set(out);
            }
            other => self.replacing_timer(other, out),
        }
    }

    /// Whether a service starts, by this very start.
    pub(super) fn is_starting(&self, name: Name, start: u32) -> bool {
        self.is_at(name, Stage::Starting, start)
    }

    pub(super) fn is_at(&self, name: Name, stage: Stage, start: u32) -> bool {
        self.lives
            .get(&name)
            .is_some_and(|life| life.stage == stage && life.start == start)
    }

    /// How long a service's start may take.
    pub(super) fn limit_of_start(&self, name: Name) -> Duration {
        let rule = self.rules.iter().find(|rule| rule.name == name);
        rule.map_or(self.start_limit, |rule| {
            if self.starting() {
                rule.start_limit
            } else {
                rule.restart_limit
            }
        })
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

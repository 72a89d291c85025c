//! The end of the job: who may end it, and the stop itself, from the first reason to the last sweep. PURE.
//!
//! docs/design/stop.md and docs/design/ends.md explain the design.

use super::engines::Unexplained;
use super::unit::WITHOUT;
use super::{
    Effect, End, Event, KILL_PATIENCE, Look, Machine, Phase, SIGNAL_PATIENCE, Stage, Timer,
    step_line, warning,
};
use crate::failure::{About, Failure};
use crate::plan::engines::named;
use crate::plan::name::{Name, Unit};
use crate::supervisor::event::{Asked, Exit, Taken};
use core::fmt;
use core::time::Duration;

/// The stop.
impl Machine {
    /// Begins the orderly stop; only the first reason counts.
    pub(super) fn begin_stop(&mut self, end: End, out: &mut Vec<Effect>) {
        step_line(out, format!("stopping: {}", end.reason));
        self.phase = Phase::Stopping { end, hurry: false };
        self.stop_next(out);
    }

    /// A later life has taken over: our processes are killed, because each of them, asked to end, would remove files that may be
    /// the other's by now.
    pub(super) fn superseded(&mut self, by: String, out: &mut Vec<Effect>) {
        let failure = Failure::service(by)
            .hint("Slurm gave up this node and requeued the job: this ipjob exits, and the newer one continues");
        step_line(out, format!("stopping: {}", failure.message));
        let end = End::of(failure);
        self.phase = Phase::Stopping { end, hurry: true };
        self.kill_all(out);
        self.stop_next(out);
    }

    /// An event while the job is being taken down.
    pub(super) fn while_stopping(&mut self, event: &Event, out: &mut Vec<Effect>) {
        match event {
            Event::Exited { unit, exit, .. } => {
                if self.forget(*unit) && *unit == Unit::Driver {
                    self.driver_cut_off(exit);
                }
                self.stop_next(out);
            }
            Event::SpawnFailed { unit, .. }
            | Event::OnHold { unit, .. }
            | Event::NeverStarted(unit) => {
                self.forget(*unit);
                self.stop_next(out);
            }
            Event::NotForked => {
                if let Some(engines) = self.services.get_mut(&Name::Engines) {
                    engines.alive.clear();
                }
                self.stop_next(out);
            }
            Event::TimeUp(timer) => self.limit_reached(*timer, out),
            Event::Swept(Some(name)) if self.stage(*name) == Stage::Sweeping => {
                self.set_stage(*name, Stage::Ended);
                self.stop_next(out);
            }
            Event::Swept(None) if matches!(self.phase, Phase::LastSweep { .. }) => self.finish(out),
            Event::StopAsked { by, insists: true } => self.hurry(&format!("{by} again"), out),
            Event::Superseded(by) => self.hurry(by, out),
            Event::Registered(ids)
                if self.engines.step && self.stage(Name::Engines) == Stage::Terminating =>
            {
                self.engines.leave(ids);
            }
            Event::SlurmKillsIn(left) => out.push(Effect::SetTimer(Timer::SlurmKills, *left)),
            Event::TimeLeft { left, limit } => self.time_left_in_the_stop(*left, *limit, out),
            Event::Cancelled => self.cancelled_in_the_stop(out),
            _ => {}
        }
    }

    /// The driver ended during the stop: its own code counts in the place of "ended as asked", because whoever reads 0 must be
    /// able to believe that the driver did all its work. A failure and the time limit keep theirs.
    fn driver_cut_off(&mut self, exit: &Exit) {
        if let Phase::Stopping { end, .. } = &mut self.phase {
            let ends = [Some(end), self.deadline.otherwise.as_mut()];
            for end in ends.into_iter().flatten().filter(|end| end.code == 0) {
                end.code = exit.shell_code();
            }
        }
    }

    /// Takes the next step of the stop: the last started service that has not ended is asked, swept or waited for.
    pub(super) fn stop_next(&mut self, out: &mut Vec<Effect>) {
        let hurry = matches!(self.phase, Phase::Stopping { hurry: true, .. });
        if !matches!(self.phase, Phase::Stopping { .. }) {
            return;
        }
        for rule in self.rules.clone().into_iter().rev() {
            let lives = self.lives(rule.name);
            match self.stage(rule.name) {
                Stage::Ended => {}
                Stage::Waiting => self.set_stage(rule.name, Stage::Ended),
                Stage::Starting | Stage::Ready if lives && self.waits_for_the_lost(rule.name) => {
                    return self.kill(rule.name, out);
                }
                Stage::Starting | Stage::Ready if lives => {
                    out.push(Effect::Ask(rule.name.into()));
                    return self.enter(rule.name, Stage::Terminating, rule.stop_limit, out);
                }
                Stage::Draining | Stage::Clearing if lives => {
                    return self.kill(rule.name, out);
                }
                Stage::Terminating | Stage::Killing if lives => return,
                Stage::Sweeping => return,
                _ => {
                    out.push(Effect::Sweep {
                        service: Some(rule.name),
                        limit: (!hurry).then_some(rule.stop_limit),
                    });
                    let limit = rule.stop_limit + KILL_PATIENCE;
                    return self.enter(rule.name, Stage::Sweeping, limit, out);
                }
            }
        }
        self.last_sweep(out);
    }

    /// Whether what is left of the engines would end in vain if it were asked: it would finalize MPI, which waits for the lost ones or
    /// aborts the whole start.
    fn waits_for_the_lost(&self, name: Name) -> bool {
        let world = self.engines.world || self.engines.together();
        name == Name::Engines && world && self.engines.any(|engine| engine.lost)
    }

    /// Every service has ended: one more look for anything of ours.
    fn last_sweep(&mut self, out: &mut Vec<Effect>) {
        if let Phase::Stopping { end, .. } = &self.phase {
            self.phase = Phase::LastSweep { end: end.clone() };
            out.push(Effect::Sweep {
                service: None,
                limit: None,
            });
            out.push(Effect::SetTimer(Timer::LastSweep, KILL_PATIENCE));
        }
    }

    /// A limit of the stop ran out.
    fn limit_reached(&mut self, timer: Timer, out: &mut Vec<Effect>) {
        match timer {
            Timer::Stage {
                unit,
                generation,
                stage,
            } => self.stage_is_over(unit, generation, stage, out),
            Timer::SlurmKills => self.hurry("Slurm is about to kill what is left", out),
            Timer::LastSweep if matches!(self.phase, Phase::LastSweep { .. }) => {
                out.push(Effect::Look(Look::Survivors {
                    service: None,
                    then: WITHOUT,
                }));
                self.finish(out);
            }
            _ => {}
        }
    }

    /// The second request, or a later life's: kill everything that lives, now.
    fn hurry(&mut self, why: &str, out: &mut Vec<Effect>) {
        match &mut self.phase {
            Phase::Stopping { hurry, .. } if !*hurry => *hurry = true,
            _ => return,
        }
        step_line(out, format!("{why}: killing everything now"));
        self.kill_all(out);
        // What is being swept gently is swept hard instead.
        if let Some(name) = Name::ALL
            .into_iter()
            .find(|name| self.stage(*name) == Stage::Sweeping)
        {
            out.push(Effect::Sweep {
                service: Some(name),
                limit: None,
            });
        }
    }

    /// Kills every service that lives.
    fn kill_all(&mut self, out: &mut Vec<Effect>) {
        let living: Vec<Name> = self
            .rules
            .iter()
            .map(|rule| rule.name)
            .filter(|name| self.lives(*name) && self.stage(*name) != Stage::Ended)
            .collect();
        for name in living {
            self.kill(name, out);
        }
    }

    pub(super) fn kill(&mut self, unit: impl Into<Unit>, out: &mut Vec<Effect>) {
        let unit = unit.into();
        out.push(Effect::Kill(unit));
        self.enter(unit, Stage::Killing, KILL_PATIENCE, out);
    }

    fn finish(&mut self, out: &mut Vec<Effect>) {
        if let Phase::LastSweep { end } = &self.phase {
            let end = end.clone();
            self.phase = Phase::Finished;
            out.push(Effect::Finish(end));
        }
    }
}

/// What keeps a job whose engines or controller are gone.
enum Keeper {
    /// The user's own.
    Own(Name),
    /// Engines that others added to the cluster.
    Guests(usize),
}

impl fmt::Display for Keeper {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(name) => write!(out, "{name} continues"),
            Self::Guests(1) => {
                out.write_str("the cluster stays up for an engine that others added, and continues")
            }
            Self::Guests(many) => {
                write!(
                    out,
                    "the cluster stays up for {many} engines that others added, and continues"
                )
            }
        }
    }
}

/// Who may end the job. A driver holds results and a kernel hours of work: as long as one of them lives, the job goes on
/// whatever becomes of engines and controller. All ends of theirs that nothing undoes come here.
impl Machine {
    /// What of the user's own keeps the job.
    pub(super) fn kept_by(&self) -> Option<Name> {
        if !matches!(self.phase, Phase::Up) {
            return None;
        }
        if self.lives(Name::Driver) {
            return Some(Name::Driver);
        }
        let jupyter = self.life(Name::Jupyter)?;
        let there = matches!(
            jupyter.stage,
            Stage::Starting | Stage::Ready | Stage::Clearing | Stage::Resting
        );
        (there && !jupyter.given_up).then_some(Name::Jupyter)
    }

    /// Whether clients have something to work with, now or as soon as it has been started again.
    pub(super) fn cluster_works(&self) -> bool {
        let there = |name: Name| {
            let life = self.life(name);
            life.is_some_and(|life| life.stage != Stage::Ended && !life.given_up)
        };
        there(Name::Controller) && (there(Name::Engines) || self.engines.guests() > 0)
    }

    /// A service is gone and does not come back by itself: the job continues without it where something of its user's keeps it, and
    /// else ends so.
    pub(super) fn gone_for_good(&mut self, name: Name, end: End, out: &mut Vec<Effect>) {
        let guests = self.engines.guests();
        let by_guests = || {
            (name == Name::Engines && guests > 0 && matches!(self.phase, Phase::Up))
                .then_some(Keeper::Guests(guests))
        };
        // What is gone keeps nothing.
        let own = self.kept_by().filter(|user| *user != name);
        let Some(keeper) = own.map(Keeper::Own).or_else(by_guests) else {
            return self.begin_stop(end, out);
        };
        let Some(service) = self.services.get_mut(&name) else {
            return;
        };
        let life = &mut service.life;
        if life.given_up || life.stage == Stage::Ended {
            return;
        }
        life.given_up = true;
        life.generation += 1;
        service.swept = false;
        let what = if name == Name::Engines {
            "engines"
        } else {
            "a controller"
        };
        let way = if self.engines.startable.at_all() {
            "; `ipjob restart` restarts them"
        } else {
            ""
        };
        let text = format!("{}; {keeper} without {what}{way}", end.reason);
        if let Some(failure) = &end.failure {
            self.note_cause(failure);
            warning(out, text);
        } else {
            step_line(out, text);
        }
        out.push(Effect::Mark(format!("{name} ended: {}", end.reason)));
        if name == Name::Engines {
            self.engines.over = Some(end);
            self.end_the_set(out);
        } else {
            self.clear_away(name, out);
        }
    }

    /// Engines that others added have come or left: the last of them may have been what kept the job.
    pub(super) fn guests_changed(&mut self, out: &mut Vec<Effect>) {
        let guests = self.engines.guests();
        let text = match guests {
            0 => "the engines that others added have left".to_owned(),
            1 => "an engine that others added works with this cluster".to_owned(),
            many => format!("{many} engines that others added work with this cluster"),
        };
        step_line(out, text);
        let none_left = self.life(Name::Engines).is_some_and(|life| life.given_up);
        if guests == 0 && none_left && self.kept_by().is_none() && matches!(self.phase, Phase::Up) {
            let end = self.engines.over.take();
            self.begin_stop(
                end.unwrap_or_else(|| End::orderly("the last engine ended")),
                out,
            );
        }
    }
}

/// How long after a client's wish an engine's end, or that of its world, is what the client asked for. It takes 0.7 s, but a rank that waits
/// in `MPI_Finalize` for the others may never end: it is told by the hub, after 30 s of silence, if at all.
const HEEDED: Duration = Duration::from_secs(60);

/// How it is told.
const BY_A_CLIENT: &str = "shut down by a client";

/// Ends that a client asked for (`rc.shutdown()`). They are no failures, and nothing undoes them but a request.
impl Machine {
    /// A client has asked an engine or the hub to end.
    pub(super) fn client_asked(&mut self, whom: Asked, out: &mut Vec<Effect>) {
        match whom {
            Asked::Engine(id) => {
                let Some(engine) = self.engines.get_mut(id) else {
                    return; // one that somebody else started
                };
                engine.by_client = true;
                let was_to_come_back = engine.call_off();
                let generation = self.generation_of(id);
                out.push(Effect::SetTimer(
                    Timer::Heeded {
                        engine: id,
                        generation,
                    },
                    HEEDED,
                ));
                if was_to_come_back {
                    // Its end was noticed before the hub's word.
                    self.say_shut_down(&[id], out);
                    if self.engines.living() == 0 && !self.engines.any_on_its_way() {
                        self.shut_down(Name::Engines, out);
                    }
                }
            }
            Asked::Hub => {
                self.hub_asked = true;
                let dead = matches!(
                    self.stage(Name::Controller),
                    Stage::Clearing | Stage::Resting
                );
                if self.kept_by().is_none() && !self.waits_for_its_user() {
                    self.begin_stop(End::orderly(BY_A_CLIENT), out);
                } else if dead {
                    // Its end was noticed before its last word.
                    self.shut_down(Name::Controller, out);
                }
            }
        }
    }

    /// An engine has had the time to end as a client asked. One that works on has not heeded it.
    pub(super) fn wish_is_over(&mut self, id: u32, generation: u32) {
        if self.generation_of(id) != generation {
            return;
        }
        if let Some(engine) = self.engines.get_mut(id).filter(|engine| engine.counts()) {
            engine.by_client = false;
        }
    }

    /// Whether the job is not ready for the driver or the Jupyter that it is for: its end is no success then, whoever asked for it.
    fn waits_for_its_user(&self) -> bool {
        let user = |name: Name| matches!(name, Name::Driver | Name::Jupyter);
        self.starting() && self.rules.iter().any(|rule| user(rule.name))
    }

    /// Engines or controller have ended as a client asked.
    pub(super) fn shut_down(&mut self, name: Name, out: &mut Vec<Effect>) {
        let text = if name == Name::Engines {
            format!("the engines were {BY_A_CLIENT}")
        } else {
            format!("{name} was {BY_A_CLIENT}")
        };
        let end = if self.waits_for_its_user() {
            End::of(Failure::not_ready(text))
        } else {
            End::orderly(text)
        };
        self.gone_for_good(name, end, out);
    }

    /// Single engines have.
    pub(super) fn say_shut_down(&self, ids: &[u32], out: &mut Vec<Effect>) {
        if ids.is_empty() {
            return;
        }
        let (was, them) = if ids.len() == 1 {
            ("was", "it")
        } else {
            ("were", "them")
        };
        let way = if self.engines.startable.at_all() {
            format!("; `ipjob restart` restarts {them}")
        } else {
            String::new()
        };
        let who = named("engine", ids);
        step_line(out, format!("{who} {was} {BY_A_CLIENT}{way}"));
    }
}

/// Engines that end because Slurm takes the job's nodes for another one. With a grace time, Slurm signals the tasks of the
/// job's steps at its begin and the batch script, which is us, only at its end: the engines' end is the first that is heard of it.
impl Machine {
    /// Too few engines are left, and Slurm may be the reason: it is asked, and heard. Where it takes the job down its signal to us is
    /// on its way, and waited for as well.
    pub(super) fn hear_slurm_first(
        &mut self,
        failure: Failure,
        with_log: bool,
        out: &mut Vec<Effect>,
    ) {
        let signal_comes = failure.about == Some(About::JobEnds);
        if let Some(first) = &mut self.engines.unexplained {
            first.signal_comes |= signal_comes;
            return;
        }
        self.engines.unexplained = Some(Unexplained {
            failure,
            signal_comes,
            with_log,
        });
        out.push(Effect::Look(Look::Preemption));
        let generation = self.generation(Unit::EngineGroup);
        out.push(Effect::SetTimer(
            Timer::JobEnds { generation },
            SIGNAL_PATIENCE,
        ));
    }

    /// Slurm's answer. Its signal reaches those that it has started itself; where a shell, a kernel or a hub's server is between, the
    /// engines' end is all that is heard of the job's.
    pub(super) fn taken(&mut self, taken: Taken, out: &mut Vec<Effect>) {
        let reason = match taken {
            Taken::ForAnother => {
                "preemption: Slurm takes the job's nodes for another job, and has ended the engines"
            }
            Taken::ForGood => "Slurm ends the job",
            Taken::Not => {
                if let Some(end) = &self.engines.unexplained
                    && !end.signal_comes
                {
                    self.slurm_says_nothing(out);
                }
                return;
            }
        };
        if self.has_asked_slurm() {
            self.begin_stop(End::orderly(reason), out);
        }
    }

    /// Whether it was asked why engines have ended: where single ones come back, at the end of each.
    fn has_asked_slurm(&self) -> bool {
        self.engines.unexplained.is_some() || self.replaces()
    }

    /// Slurm has nothing to do with it, as far as it tells.
    pub(super) fn slurm_says_nothing(&mut self, out: &mut Vec<Effect>) {
        if let Some(end) = self.engines.unexplained.take() {
            if end.with_log {
                out.push(Effect::ShowLog(Unit::EngineGroup));
            }
            self.mend_or_fail(Name::Engines, end.failure, out);
        }
    }
}

//! From the first reason to stop to the end. PURE.
//!
//! docs/design/stop.md explains the design.

use super::unit::WITHOUT;
use super::{Effect, End, Event, KILL_PATIENCE, Look, Machine, Phase, Stage, Timer, step_line};
use crate::failure::Failure;
use crate::plan::name::{Name, Unit};
use crate::supervisor::event::Exit;

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
            .hint("Slurm gave this node up and started the job anew: this life ends, the newer one goes on");
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
            Event::SpawnFailed { unit, .. } | Event::NeverStarted(unit) => {
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

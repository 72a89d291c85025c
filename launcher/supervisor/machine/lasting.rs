//! Who may end the job. PURE. A driver holds results and a kernel hours of work: as long as one of them lives, the job goes on
//! whatever becomes of engines and controller. All ends of theirs that nothing undoes come here.
//!
//! docs/design/ends.md explains the design.

use super::{Effect, End, Machine, Phase, Stage, step_line, warning};
use crate::plan::name::Name;
use core::fmt;

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
            Self::Own(name) => write!(out, "{name} goes on"),
            Self::Guests(1) => {
                out.write_str("the cluster stays for an engine that others added, and goes on")
            }
            Self::Guests(many) => {
                write!(
                    out,
                    "the cluster stays for {many} engines that others added, and goes on"
                )
            }
        }
    }
}

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

    /// A service is gone and does not come back by itself: the job goes on without it where something of its user's keeps it, and
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
            let world = self.engines.world || self.engines.together();
            let of_lost = name == Name::Engines && world && self.engines.any(|engine| engine.lost);
            if of_lost && self.lives(name) {
                // Asked, those that are left would finalize MPI, which waits for the lost ones or aborts the whole start.
                self.kill(name, out);
            }
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
            "; `ipjob restart` starts them again"
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

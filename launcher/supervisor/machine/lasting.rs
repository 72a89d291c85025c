//! Who may end the job. PURE. A driver holds results and a kernel hours of work: as long as one of them lives, the job goes on
//! whatever becomes of engines and controller. All ends of theirs that nothing undoes come here.

use super::{Effect, End, Machine, Phase, Stage, step_line, warning};
use crate::plan::service::Name;

impl Machine {
    /// What of the user's own keeps the job.
    pub(super) fn kept_by(&self) -> Option<Name> {
        if !matches!(self.phase, Phase::Up) {
            return None;
        }
        if self.lives(Name::Driver) {
            return Some(Name::Driver);
        }
        let jupyter = self.lives.get(&Name::Jupyter)?;
        let there = matches!(
            jupyter.stage,
            Stage::Starting | Stage::Ready | Stage::Clearing | Stage::Resting
        );
        (there && !jupyter.given_up).then_some(Name::Jupyter)
    }

    /// Whether clients have something to work with, now or as soon as it has been started again.
    pub(super) fn cluster_works(&self) -> bool {
        let there = |name: Name| {
            let life = self.lives.get(&name);
            life.is_some_and(|life| life.stage != Stage::Ended && !life.given_up)
        };
        there(Name::Controller) && there(Name::Engines)
    }

    /// A service is gone and does not come back by itself: the job goes on without it where something of its user's keeps it, and
    /// else ends so.
    pub(super) fn gone_for_good(&mut self, name: Name, end: End, out: &mut Vec<Effect>) {
        let Some(user) = self.kept_by() else {
            let world = self.engines.world || self.engines.together();
            let of_lost = name == Name::Engines && world && !self.engines.lost.is_empty();
            if of_lost && self.lives(name) {
                // Asked, those that are left would finalize MPI, which waits for the lost ones or aborts the whole start.
                self.kill(name, out);
            }
            return self.begin_stop(end, out);
        };
        let Some(life) = self.lives.get_mut(&name) else {
            return;
        };
        if life.given_up || life.stage == Stage::Ended {
            return;
        }
        life.given_up = true;
        life.stage = Stage::Clearing;
        life.swept = false;
        life.start += 1;
        let start = life.start;
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
        let text = format!("{}; {user} goes on without {what}{way}", end.reason);
        if let Some(failure) = &end.failure {
            self.note_cause(failure);
            warning(out, text);
        } else {
            step_line(out, text);
        }
        out.push(Effect::Mark(format!("{name} ended: {}", end.reason)));
        if name == Name::Engines {
            self.end_the_set(start, out);
        } else {
            Self::clear_away(name, start, out);
        }
        out.push(Effect::Publish);
    }
}

//! Why a rank that does not lead ends by itself.

use super::Member;
use crate::failure::Failure;
use crate::plan::incarnation::Incarnation;
use std::time::Duration;

impl Member {
    pub(super) fn leaderless(&self, leader: &Incarnation) -> Failure {
        Failure::service(format!(
            "rank 0 (ipjob, pid {} on {}) has died: engine {} on {} ends",
            leader.pid, leader.host, self.place.rank.number, self.place.node
        ))
    }

    pub(super) fn left_alone(&self, leader: &Incarnation) -> String {
        format!(
            "rank {} on {} leaves: its engine has ended, and rank 0 (ipjob, pid {} on {}) has shown no sign of life in {} for {} s",
            self.place.rank.number,
            self.place.node,
            leader.pid,
            leader.host,
            self.seat.place().display(),
            self.silence.as_secs()
        )
    }

    pub(super) fn nobody_came(&self, limit: Duration) -> Failure {
        Failure::not_ready(format!(
            "rank {} of {} on {} met no rank 0 within {} s",
            self.place.rank.number,
            self.place.rank.size,
            self.place.node,
            limit.as_secs_f64()
        ))
        .because(format!(
            "{} tells of none",
            self.seat.place().display()
        ))
        .hint("is the IPython directory on a file system that all nodes share? --ipython-dir chooses another")
        .hint("did rank 0 start at all? its lines say more; --start-timeout gives more time")
    }
}

//! One life of ipjob. Its id stands in the record, in the lock and in every child's environment, so that what a dead
//! ipjob left running can be told from everything else.

use serde::{Deserialize, Serialize};

/// The variable that carries the id into every child.
pub const INCARNATION_VARIABLE: &str = "IPJOB_INCARNATION";

/// The variable that tells a child which service it belongs to.
pub const SERVICE_VARIABLE: &str = "IPJOB_SERVICE";

/// One life of ipjob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incarnation {
    /// Cluster, job, restart count and 16 random hexadecimal digits: `daint.123.0.9f3c0d5e7a11b2c4`.
    pub id: String,
    /// The host that ipjob runs on.
    pub host: String,
    /// The kernel's boot id of that host: process ids mean nothing after a reboot.
    pub boot: String,
    /// The process id of ipjob.
    pub pid: u32,
    /// The start of that process in clock ticks since boot (field 22 of /proc/PID/stat): process ids are used again.
    pub pid_start: u64,
}

impl Incarnation {
    /// The cluster and job, `daint.123`, and the restart count, as the id tells them; `None` for an id of another form.
    #[must_use]
    fn life(&self) -> Option<(&str, u32)> {
        let (life, _random) = self.id.rsplit_once('.')?;
        let (job, restart) = life.rsplit_once('.')?;
        Some((job, restart.parse().ok()?))
    }

    /// Whether this is a later life of the other's job: Slurm requeues a job under its id, with a higher restart count.
    #[must_use]
    pub fn succeeds(&self, other: &Self) -> bool {
        match (self.life(), other.life()) {
            (Some((job, restart)), Some((other_job, other_restart))) => {
                job == other_job && restart > other_restart
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_later_life_of_the_same_job_succeeds() {
        let life = |id: &str| Incarnation {
            id: id.to_owned(),
            host: "n1".to_owned(),
            boot: String::new(),
            pid: 1,
            pid_start: 1,
        };
        let first = life("alps.daint.123.0.9f3c");
        assert!(life("alps.daint.123.10.0000").succeeds(&first));
        for other in [
            "alps.daint.123.0.0000",
            "alps.eiger.123.1.0000",
            "alps.daint.124.1.0000",
            "alps.daint.123.x.0000",
            "garbage",
        ] {
            assert!(!life(other).succeeds(&first), "{other}");
        }
    }
}

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

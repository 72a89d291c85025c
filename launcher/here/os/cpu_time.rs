//! The CPU time of processes that compute for the user, from one look to the next.

use super::process;
use std::collections::{BTreeMap, BTreeSet};

/// Clock ticks that a process may have from the grains in which the kernel counts.
const GRAIN_TICKS: u64 = 2;

/// Clock ticks in a second, a hundredth of a CPU, that a process may need to stay alive: an engine at its shortest heartbeat
/// needs 0.2.
const TICKS_PER_SECOND: u64 = 1;

/// The clock ticks of each process, by its id and start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Computed(BTreeMap<(u32, u64), u64>);

impl Computed {
    /// Those of these processes that run.
    #[must_use]
    pub fn of(pids: &BTreeSet<u32>) -> Self {
        let ticks = pids.iter().filter_map(|pid| {
            let stat = process::stat(*pid)?;
            Some(((*pid, stat.start), stat.ran))
        });
        Self(ticks.collect())
    }

    /// Whether one of them has done more since an earlier look than stay alive for so many seconds.
    #[must_use]
    pub fn exceeds(&self, before: &Self, seconds: u64) -> bool {
        let quiet = GRAIN_TICKS + seconds * TICKS_PER_SECOND;
        self.0.iter().any(|(process, ticks)| {
            let earlier = before.0.get(process).copied().unwrap_or_default();
            ticks.saturating_sub(earlier) > quiet
        })
    }

    /// One process with so many ticks.
    #[cfg(test)]
    pub fn ticks(ticks: u64) -> Self {
        Self(BTreeMap::from([((2, 7), ticks)]))
    }
}

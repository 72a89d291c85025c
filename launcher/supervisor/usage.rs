//! What is seen of the job's use, at one look.

use crate::here::os::cpu_time::Computed;
use crate::here::os::own_time::OwnTime;
use std::collections::BTreeMap;

/// What one look has seen.
#[derive(Debug)]
pub struct Seen {
    /// When.
    pub at: OwnTime,
    /// Nanoseconds of each scheduler.
    pub schedulers: BTreeMap<u32, Option<u64>>,
    /// What computes for the user, as far as it can be seen from here.
    pub ran: Computed,
    /// What Jupyter tells; `None` where it was asked in vain.
    pub jupyter: Option<Use>,
}

impl Seen {
    /// Whether the job was used since an earlier look.
    pub fn differs(&self, before: &Self) -> bool {
        let Some(jupyter) = &self.jupyter else {
            return true;
        };
        let told = jupyter.busy || self.jupyter != before.jupyter;
        let passed =
            self.schedulers != before.schedulers || self.schedulers.values().any(Option::is_none);
        let seconds = self.at.since(before.at).as_secs();
        let ran = self.ran.exceeds(&before.ran, seconds);
        told || passed || ran
    }
}

/// What Jupyter tells of its use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Use {
    /// When it was used last, as text: only whether it changes is of interest, because clocks jump.
    pub last: String,
    /// Whether a kernel computes.
    pub busy: bool,
}

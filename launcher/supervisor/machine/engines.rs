//! Which engines count. PURE.

use super::End;
use super::preemption::Unexplained;
use super::replacing::Replaced;
use super::request::Startable;
use super::set::Set;
use crate::plan::task_lines::{Report, Words};
use std::collections::{BTreeMap, BTreeSet};

/// Which engines are started again by themselves when one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Again {
    #[default]
    Never,
    Each,
    Together,
}

/// The engines as the hub and their processes tell of them. A local engine's id is its index.
#[derive(Clone, Debug, Default)]
pub(super) struct Engines {
    /// As many as are started.
    pub expected: u32,
    /// As few as are accepted.
    pub minimum: u32,
    /// Whether one process stands for all engines: then only the hub tells of a single one's end.
    pub step: bool,
    /// What that process is called: `srun`, `mpiexec`.
    pub starter: String,
    /// Whether they form one MPI world: none works without the others.
    pub world: bool,
    /// Ids in the hub's engine file.
    pub registered: BTreeSet<u32>,
    /// What the hub's list says while the controller is being replaced: it is believed a little later.
    pub recounted: Option<BTreeSet<u32>>,
    /// Which are started again by themselves.
    pub again: Again,
    /// In which ways they can be started again when somebody asks for it.
    pub startable: Startable,
    /// Engines that ended and are or were started again by themselves, by their ids.
    pub replaced: BTreeMap<u32, Replaced>,
    /// What is known of them as a set that starts again together.
    pub set: Set,
    /// Engines that a client has asked to end.
    pub by_client: BTreeSet<u32>,
    /// How the last of ours ended, once none comes back: the job's end, as soon as nothing keeps it.
    pub over: Option<End>,
    /// Engines whose process ended.
    pub lost: BTreeSet<u32>,
    /// Engines that were said to have left the hub's list while their process lives.
    pub dropped: BTreeSet<u32>,
    /// Where the tasks of a step run, by rank, as they told it.
    pub places: BTreeMap<u32, Report>,
    /// Nodes on which srun makes no step any more.
    pub refused_nodes: BTreeSet<String>,
    /// The first error in srun's own words.
    pub srun_said: Option<Words>,
    /// How they ended, while a word of Slurm's is waited for that may explain it.
    pub unexplained: Option<Unexplained>,
    /// Which engines were short of memory, where, and the limit, once Slurm told of it.
    pub short_of_memory: Option<String>,
    /// What srun waits for, in its own words, until the first task has come.
    pub waits: Option<String>,
}

impl Engines {
    pub(super) fn new(expected: u32, minimum: u32, step: bool, world: bool) -> Self {
        Self {
            expected,
            minimum,
            step,
            world,
            ..Self::default()
        }
    }

    /// Whether each is started again when it ends.
    pub(super) fn each(&self) -> bool {
        self.again == Again::Each
    }

    /// Whether all are started again together when one is lost.
    pub(super) fn together(&self) -> bool {
        self.again == Again::Together
    }

    /// A process of the engines ended: which engines are lost with it.
    pub(super) fn lose(&mut self, index: u32) {
        if self.step {
            self.lost = (0..self.expected).collect();
        } else {
            self.lost.insert(index);
        }
    }

    /// Registered engines of ours whose process lives: the hub keeps a dead one for a while when it has no nanny, and lists
    /// engines that somebody else started as well.
    pub(super) fn counted(&self) -> usize {
        (0..self.expected).filter(|id| self.counts(*id)).count()
    }

    /// Whether one engine counts.
    pub(super) fn counts(&self, id: u32) -> bool {
        self.registered.contains(&id) && !self.lost.contains(&id)
    }

    /// Engines in the hub's list that others started: the hub gives them ids beyond ours.
    pub(super) fn guests(&self) -> usize {
        self.registered.range(self.expected..).count()
    }

    /// Engines whose process lives.
    pub(super) fn living(&self) -> usize {
        (self.expected as usize).saturating_sub(self.lost.len())
    }

    /// Whether every engine that was started is there.
    pub(super) fn complete(&self) -> bool {
        self.counted() >= self.expected as usize
    }

    /// Whether waiting longer brings no further engine: all that live are registered, and they are enough.
    pub(super) fn settled(&self) -> bool {
        self.enough() && self.counted() >= self.living()
    }

    /// Whether as many are registered as must be.
    pub(super) fn enough(&self) -> bool {
        self.counted() >= self.minimum as usize
    }

    /// Whether enough processes live for the job to become or stay ready.
    pub(super) fn possible(&self) -> bool {
        self.living() >= self.minimum as usize
    }

    /// Ids that were never registered, for messages.
    pub(super) fn missing(&self) -> Vec<u32> {
        (0..self.expected)
            .filter(|id| !self.registered.contains(id))
            .collect()
    }
}

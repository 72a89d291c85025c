//! What is known of the engines: of each by itself, and of all together. PURE.

use super::preemption::Unexplained;
use super::request::Startable;
use super::unit::Life;
use super::{End, Stage};
use crate::plan::WantedWorld;
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

/// One engine, as the hub, its process and its users tell of it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, and all of them occur together"
)]
#[derive(Clone, Debug, Default)]
pub(super) struct Engine {
    /// Whether the hub lists it.
    pub listed: bool,
    /// Whether its process is known to have ended.
    pub lost: bool,
    /// Whether it was said to have left the hub's list while its process lives.
    pub dropped: bool,
    /// Whether it has left the hub's list, while it is waited for who tells more.
    pub missed: bool,
    /// Whether a client has asked it to end.
    pub by_client: bool,
    /// Where it runs, as its task told it.
    pub place: Option<Report>,
    /// Its life since it first ended; until then it waits, and lives as its group does.
    pub life: Life,
    /// Whether it is being ended to be started again.
    pub again: bool,
}

impl Engine {
    /// It has ended with all others: it lives as its group does.
    pub fn forget(&mut self) {
        self.life = Life {
            generation: self.life.generation,
            ..Life::default()
        };
        self.again = false;
        self.missed = false;
    }

    /// Whether it counts as there: the hub keeps a dead one for a while when it has no nanny.
    pub fn counts(&self) -> bool {
        self.listed && !self.lost
    }

    /// Whether it told that it runs on this node.
    pub fn is_on(&self, node: &str) -> bool {
        let place = self.place.as_ref();
        place.is_some_and(|report| report.node == node)
    }

    /// Whether it has ended before: what is told of the task that it was in the first step counts no more.
    pub fn has_left_the_step(&self) -> bool {
        self.life.stage != Stage::Waiting
    }
}

/// What is known of the engines as a set that starts again together.
#[derive(Clone, Debug, Default)]
pub(super) struct Set {
    /// The MPI world that it is to see at each start.
    pub world: Option<WantedWorld>,
    /// Whether it starts again because nobody said that it should not.
    pub by_default: bool,
}

/// The engines that this job starts, and what is known of them as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Engines {
    /// Each, by the id that the hub gives it. A local engine's id is its index, a task's its rank.
    all: BTreeMap<u32, Engine>,
    /// Engines in the hub's list that others started: the hub gives them ids beyond ours.
    guests: BTreeSet<u32>,
    /// As few as are accepted.
    pub minimum: u32,
    /// Whether one process stands for all engines: then only the hub tells of a single one's end.
    pub step: bool,
    /// What that process is called: `srun`, `mpiexec`.
    pub starter: String,
    /// Whether they form one MPI world: none works without the others.
    pub world: bool,
    /// What the hub's list says while the controller is being replaced: it is believed a little later.
    pub recounted: Option<BTreeSet<u32>>,
    /// Which are started again by themselves.
    pub again: Again,
    /// In which ways they can be started again when somebody asks for it.
    pub startable: Startable,
    /// What is known of them as a set that starts again together.
    pub set: Set,
    /// How the last of ours ended, once none comes back: the job's end, as soon as nothing keeps it.
    pub over: Option<End>,
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
            all: (0..expected).map(|id| (id, Engine::default())).collect(),
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

    /// As many as are started.
    pub(super) fn expected(&self) -> u32 {
        u32::try_from(self.all.len()).unwrap_or(u32::MAX)
    }

    /// One of ours.
    pub(super) fn get(&self, id: u32) -> Option<&Engine> {
        self.all.get(&id)
    }

    /// One of ours, to be changed.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Engine> {
        self.all.get_mut(&id)
    }

    /// All of ours, to be changed.
    pub(super) fn each_mut(&mut self) -> impl Iterator<Item = &mut Engine> {
        self.all.values_mut()
    }

    /// Whether an engine is ours, and of this kind.
    pub(super) fn is(&self, id: u32, kind: impl Fn(&Engine) -> bool) -> bool {
        self.all.get(&id).is_some_and(kind)
    }

    /// The ids of ours of this kind, in order.
    pub(super) fn ids(&self, kind: impl Fn(&Engine) -> bool) -> Vec<u32> {
        self.iter(kind).collect()
    }

    fn iter(&self, kind: impl Fn(&Engine) -> bool) -> impl Iterator<Item = u32> {
        let found = self.all.iter().filter(move |(_, engine)| kind(engine));
        found.map(|(id, _)| *id)
    }

    /// Whether there is one of ours of this kind.
    pub(super) fn any(&self, kind: impl Fn(&Engine) -> bool) -> bool {
        self.all.values().any(kind)
    }

    /// These engines, or as many of them as are ours, have ended.
    pub(super) fn lose(&mut self, ids: &[u32]) {
        for id in ids {
            if let Some(engine) = self.all.get_mut(id) {
                engine.lost = true;
            }
        }
    }

    /// These are told as dropped by the hub while their processes live.
    pub(super) fn drop_out(&mut self, ids: &[u32]) {
        for id in ids {
            if let Some(engine) = self.all.get_mut(id) {
                engine.dropped = true;
            }
        }
    }

    /// Whether one is on its way back, or is being ended for that.
    pub(super) fn any_on_its_way(&self) -> bool {
        self.any(Engine::is_on_its_way)
    }

    /// The hub lists these engines; tells which of ours it lists no more.
    pub(super) fn list(&mut self, ids: &BTreeSet<u32>) -> Vec<u32> {
        let mut gone = Vec::new();
        for (id, engine) in &mut self.all {
            let listed = ids.contains(id);
            if engine.listed && !listed {
                gone.push(*id);
            }
            engine.listed = listed;
            engine.dropped &= !listed;
        }
        self.guests = ids.range(self.expected()..).copied().collect();
        gone
    }

    /// All that the hub lists.
    pub(super) fn listed(&self) -> BTreeSet<u32> {
        let ours = self.iter(|engine| engine.listed);
        ours.chain(self.guests.iter().copied()).collect()
    }

    /// Registered engines of ours whose process lives.
    pub(super) fn counted(&self) -> usize {
        self.iter(Engine::counts).count()
    }

    /// Engines in the hub's list that others started.
    pub(super) fn guests(&self) -> usize {
        self.guests.len()
    }

    /// Engines whose process lives.
    pub(super) fn living(&self) -> usize {
        self.iter(|engine| !engine.lost).count()
    }

    /// Whether every engine that was started is there.
    pub(super) fn complete(&self) -> bool {
        self.all.values().all(Engine::counts)
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
}

//! The engines: what is known of each and of all together, and what it means that they come, go and fall silent. PURE.

use super::gone::Noticed;
use super::unit::Life;
use super::{
    DROP_PATIENCE, Effect, End, Machine, Stage, Timer, WORLD_PATIENCE, step_line, warning,
};
use crate::failure::Failure;
use crate::plan::WantedWorld;
use crate::plan::engines::{SHOWN, named};
use crate::plan::name::{Name, Unit};
use crate::plan::task_lines::{Report, Words};
use crate::record::moment;
use core::mem::replace;
use std::collections::{BTreeMap, BTreeSet};

/// Which engines are started again by themselves when one ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Again {
    #[default]
    Never,
    Each,
    Together,
}

/// In which ways engines can be started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Startable {
    /// Each by itself.
    pub each: bool,
    /// All together, as the one step or under the one mpiexec that they were.
    pub together: bool,
}

impl Startable {
    /// Whether there is one.
    pub fn at_all(self) -> bool {
        self.each || self.together
    }
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
    /// Whether it has left the hub's list after it was asked to end with the job.
    pub left: bool,
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

    /// Whether it is lost now and will be there again.
    pub fn comes_back(&self) -> bool {
        matches!(self.life.stage, Stage::Resting | Stage::Due)
    }

    /// Whether it was started again and has come back.
    pub fn is_back(&self) -> bool {
        self.life.stage == Stage::Ready && !self.again
    }

    /// Whether it was started again and has not registered.
    pub fn arrives(&self) -> bool {
        self.life.stage == Stage::Starting
    }

    /// Whether it is on its way back, or is being ended for that.
    pub fn is_on_its_way(&self) -> bool {
        self.comes_back() || self.arrives() || self.again
    }

    /// Gives it up if it was to be started again; false if it was not.
    pub fn call_off(&mut self) -> bool {
        let waits = self.comes_back() && !self.again;
        if waits {
            self.life.stage = Stage::Ended;
        }
        waits
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

/// An end of the engines that Slurm may explain.
#[derive(Clone, Debug)]
pub(super) struct Unexplained {
    /// What it is unless Slurm says otherwise.
    pub failure: Failure,
    /// Whether srun said that Slurm takes the job down: then its signal comes.
    pub signal_comes: bool,
    /// Whether the last lines of the step's log belong to it: no task's own were shown.
    pub with_log: bool,
}

/// The engines that this job starts, and what is known of them as one.
#[derive(Clone, Debug, Default)]
pub(super) struct Engines {
    /// Each, by the id that the hub gives it. A local engine's id is its index, a task's its rank.
    all: BTreeMap<u32, Engine>,
    /// Engines in the hub's list that others started: the hub gives them ids beyond ours.
    guests: BTreeSet<u32>,
    /// Whether the hub has said that it hears us: one that does not learns of ends from nannies, or by silence.
    pub hub_hears: bool,
    /// Those of ours whose end is still to be told to it.
    pub untold: Vec<u32>,
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
    /// What slurmstepd said of a request of the MPI library's that it could not read, while the engines started.
    pub bad_request: Option<String>,
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

    /// Whether a client asked for the end of these engines. Of a world each ends with the others.
    pub(super) fn were_asked(&self, ids: &[u32]) -> bool {
        let asked = |id: &u32| self.is(*id, |engine| engine.by_client);
        if self.world || self.together() {
            !ids.is_empty() && self.any(|engine| engine.by_client)
        } else {
            !ids.is_empty() && ids.iter().all(asked)
        }
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
            if let Some(engine) = self.all.get_mut(id)
                && !replace(&mut engine.lost, true)
            {
                self.untold.push(*id);
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

    /// The hub lists these engines while they are asked to end with the job.
    pub(super) fn leave(&mut self, ids: &BTreeSet<u32>) {
        for id in self.list(ids) {
            if let Some(engine) = self.all.get_mut(&id) {
                engine.left = true;
            }
        }
    }

    /// Whether each has ended, as far as the hub tells of those that were asked.
    pub(super) fn all_have_left(&self) -> bool {
        self.all.values().all(|engine| engine.lost || engine.left)
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

/// Engines that never registered whose last lines are shown.
const LOGS: usize = 3;

impl Machine {
    /// The hub's engine file changed.
    pub(super) fn registered(&mut self, ids: &BTreeSet<u32>, out: &mut Vec<Effect>) {
        let before = self.engines.counted();
        let guests = self.engines.guests();
        let gone = self.engines.list(ids);
        if self.engines.guests() != guests {
            self.guests_changed(out);
        }
        let counted = self.engines.counted();
        if self.stage(Name::Engines) == Stage::Starting {
            self.settle_engines(out);
        } else if counted > before {
            step_line(
                out,
                format!("engines {counted}/{} registered", self.engines.expected()),
            );
        }
        if self.engines.together() && !self.restarts_the_set() {
            // Such engines that start are judged by their limit and srun's words alone.
        } else if self.engines.together() {
            self.tasks_gone(&gone, Noticed::Unlisted, out);
        } else if self.engines.step {
            let own = self.engines_of_their_own();
            let (own, rest): (Vec<u32>, Vec<u32>) =
                gone.into_iter().partition(|id| own.contains(id));
            self.lost_from_step(rest, out);
            if !own.is_empty() {
                out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
            }
        } else if !gone.is_empty() {
            out.push(Effect::SetTimer(Timer::Dropped, DROP_PATIENCE));
        }
        self.replace_engines(out);
        self.start_the_set(out);
    }

    /// Engines become ready once all that live are registered, if they are enough.
    pub(super) fn settle_engines(&mut self, out: &mut Vec<Effect>) {
        if self.stage(Name::Engines) != Stage::Starting || !self.engines.settled() {
            return;
        }
        if self.world.is_some() {
            // Ready engines that are no world are worse than none: wait for their word, which is on its way.
            let generation = self.generation(Unit::EngineGroup);
            out.push(Effect::SetTimer(
                Timer::World { generation },
                WORLD_PATIENCE,
            ));
        } else {
            self.engines_ready(out);
        }
    }

    pub(super) fn engines_ready(&mut self, out: &mut Vec<Effect>) {
        let (counted, expected) = (self.engines.counted(), self.engines.expected());
        let told = moment::ready(Name::Engines, &format!("({counted}/{expected})"));
        step_line(out, told);
        if !self.engines.complete() {
            warning(
                out,
                format!(
                    "continuing with {counted} of {expected} engines, as --min-engines {} allows",
                    self.engines.minimum
                ),
            );
        }
        self.became_ready(Name::Engines, out);
        self.became_ready_again(Name::Engines, out);
    }

    /// Too few engines have registered in time: which are missing and where they are, each with its last lines, and the cause
    /// as far as anything told it.
    pub(super) fn engines_too_late(&self, seconds: f64, out: &mut Vec<Effect>) -> Failure {
        let missing = self.engines.ids(|engine| !engine.listed);
        // In a step only those that have come can have said anything.
        let step = self.engines.step;
        let told = self
            .engines
            .ids(|engine| !engine.listed && !engine.lost && (!step || engine.place.is_some()));
        let logs = told.into_iter().take(LOGS);
        out.extend(logs.map(|id| Effect::ShowLog(Unit::Engine(id))));
        if step && !self.engines.any(|engine| engine.place.is_some()) {
            out.push(Effect::ShowLog(Unit::EngineGroup));
        }
        let mut failure = Failure::not_ready(format!(
            "{} of {} engines registered within {seconds} s",
            self.engines.counted(),
            self.engines.expected(),
        ));
        let mut placed = (self.engines).ids(|engine| !engine.listed && engine.place.is_some());
        placed.truncate(SHOWN);
        let rest: Vec<u32> = missing
            .iter()
            .filter(|id| !placed.contains(id))
            .copied()
            .collect();
        let mut names: Vec<String> = placed.iter().map(|id| self.engine(*id)).collect();
        if !rest.is_empty() {
            names.push(named("engine", &rest));
        }
        let lack = self.services.get(&Name::Engines);
        failure.cause = (self.engines.waits.clone())
            .or_else(|| {
                self.engines
                    .srun_said
                    .as_ref()
                    .map(|words| words.text.clone())
            })
            .or_else(|| lack.and_then(|found| found.lack.clone()));
        let failure = failure
            .hint(format!("not registered: {}", names.join(", ")))
            .hint("give more time with --start-timeout, or accept fewer with --min-engines");
        self.with_bad_request(failure)
    }

    /// Names engines that the hub dropped while their processes live: a frozen engine never registers again.
    pub(super) fn say_dropped(&mut self, out: &mut Vec<Effect>) {
        self.say_missed(out);
        if self.engines.together() {
            return;
        }
        if self.stage(Name::Engines) != Stage::Ready {
            return;
        }
        let mut fresh = self.engines_of_their_own();
        fresh.retain(|id| {
            self.engines.is(*id, |engine| {
                // One that a client ended the hub lets go first, and it ends a moment later.
                !engine.listed && !engine.dropped && !engine.arrives() && !engine.by_client
            })
        });
        let Some(first) = fresh.first().copied() else {
            return;
        };
        let end = format!("{} left the hub's list", self.engine(first));
        let end = Failure::new(self.kind_of_now(), end);
        self.gone(&fresh, Noticed::SilentProcesses, end, out);
    }
}

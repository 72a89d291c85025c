//! Engines of a Slurm step: what the srun that stands for all of them tells, and those that were started again as steps of their own. PURE.
//!
//! docs/design/engines-in-slurm.md explains the design.

use super::engines::Engine;
use super::gone::{self, Action, Noticed, action};
use super::{Effect, End, Machine, Phase, Stage, step_line, warning};
use crate::failure::{About, Failure};
use crate::plan::engines::{SHOWN, named};
use crate::plan::exit::MORE_MEMORY;
use crate::plan::last_words::LastWords;
use crate::plan::name::{Name, Unit};
use crate::plan::task_lines::{Report, Topic, Words, World, cancelled};
use crate::supervisor::event::{Exit, OutOfMemory};

/// What Slurm knows where memory was short: one count for all tasks of a node and what they started. srun says `Out Of Memory` of each
/// task there that ends later, whatever ended it (seen on 22.05: of one that was killed by hand after another one's child).
const COUNTED: &str = "Slurm counted an out-of-memory kill";

impl Machine {
    /// srun has ended, and with it every engine.
    pub(super) fn step_ended(
        &mut self,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        memory: Option<&OutOfMemory>,
        out: &mut Vec<Effect>,
    ) {
        let said = || self.words_in(tail);
        let cause = self.engines.srun_said.clone().or_else(said);
        let together = self.engines.world || self.engines.together();
        // One that ended otherwise than by a cancellation's SIGTERM has taken the others with it, although Slurm's word of those may come first.
        let has_taken_all =
            |words: &Words| !words.tasks.is_empty() && words.about != Some(Topic::JobEnds);
        let explained = self.engines.srun_said.as_ref().is_some_and(|words| {
            words.about == Some(Topic::GivenUp) || together && has_taken_all(words)
        });
        let cancelled =
            cancelled(tail, together, |step| self.is_step_of_engines(step)).filter(|_| !explained);
        let starter = &self.engines.starter;
        let text = format!("the engines' {starter} (pid {pid}) ended with {exit}");
        let mut failure = Failure::new(self.kind_of_now(), text);
        if let Some(memory) = memory {
            failure = memory.explain(failure);
        } else if let Some(told) = cancelled {
            // With the whole job as well: then Slurm's signal to us is on its way.
            failure = failure
                .about(About::JobEnds)
                .because(told)
                .hint(gone::CANCELLED);
        } else if let Some(words) = cause {
            failure = gone::by_slurm(failure, &words);
            if failure.about != Some(About::Memory) {
                failure = failure.hint(gone::next_step_of_srun(&words));
            }
            failure.cause = Some(self.with_memory(&words));
        } else {
            failure = failure.hint(gone::LINES_OF_ENGINES);
        }
        let all = self.engines.ids(|_| true);
        self.gone(&all, Noticed::GroupProcess, failure, out);
    }

    /// Too few engines are left.
    pub(super) fn engines_failed(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        if self.engines.step || self.in_slurm {
            self.hear_slurm_first(failure, false, out);
        } else {
            self.gone_for_good(Name::Engines, End::of(failure), out);
        }
    }

    /// Engines left the hub's list: their nanny or their silence told it of their end.
    pub(super) fn lost_from_step(&mut self, gone: Vec<u32>, out: &mut Vec<Effect>) {
        let fresh = self.not_known_as_lost(gone);
        if fresh.is_empty() {
            return;
        }
        let (asked, rest): (Vec<u32>, Vec<u32>) = fresh
            .iter()
            .partition(|id| self.engines.is(**id, |engine| engine.by_client));
        self.say_shut_down(&asked, out);
        self.say_unlisted(&rest, out);
        let left = self.engines.living() > fresh.len() || self.engines.any_on_its_way();
        let ready = self.stage(Name::Engines) == Stage::Ready && matches!(self.phase, Phase::Up);
        if left || rest.is_empty() || !ready {
            return self.tasks_gone(&fresh, Noticed::Unlisted, out);
        }
        self.tasks_gone(&asked, Noticed::Unlisted, out);
        self.tasks_gone(&rest, Noticed::LastUnlisted, out);
    }

    /// Tells engines that left the hub's list: the first by their places, and where they are many all by their ids.
    pub(super) fn say_unlisted(&self, ids: &[u32], out: &mut Vec<Effect>) {
        for id in ids.iter().take(SHOWN) {
            warning(out, format!("{} left the hub's list", self.engine(*id)));
        }
        if ids.len() > SHOWN {
            warning(out, format!("{} left the hub's list", named("engine", ids)));
        }
    }

    /// srun told that something is wrong: it is the one that knows how a task ended.
    pub(super) fn srun_said(&mut self, words: Words, out: &mut Vec<Effect>) {
        if words
            .step
            .is_some_and(|step| !self.is_step_of_engines(step))
        {
            return;
        }
        let starts = self.stage(Name::Engines) != Stage::Ready;
        if words.about == Some(Topic::BadRequest) {
            // Of a world that stands it says nothing: a task may run a program of its own.
            if starts && self.engines.bad_request.is_none() {
                warning(out, format!("{}; {}", words.text, gone::OTHER_MPI));
                self.engines.bad_request = Some(words.text);
            }
            return;
        }
        if words.about == Some(Topic::Ended) {
            // Where the whole job ends, Slurm's signal tells it.
        } else if self.engines.were_asked(&words.tasks) {
            step_line(out, words.text.clone());
            self.say_shut_down(&words.tasks, out);
        } else {
            warning(out, words.text.clone());
        }
        if words.is_about_memory() {
            let names: Vec<String> = words
                .tasks
                .iter()
                .take(SHOWN)
                .map(|id| self.engine_of_the_step(*id))
                .collect();
            let limit = self.limit_of(&words.tasks);
            let told = if names.is_empty() {
                format!("{COUNTED} among the engines and what they started{limit}")
            } else {
                format!("{} ended after {COUNTED} there{limit}", names.join(", "))
            };
            warning(out, format!("{told}; {MORE_MEMORY}"));
            // Of the count alone nobody knows whose end it was.
            if !words.tasks.is_empty() || self.engines.short_of_memory.is_none() {
                self.engines.short_of_memory = Some(told);
            }
        }
        let of_tasks = !words.tasks.is_empty();
        let mut tasks = words.tasks.clone();
        if let (Some(Topic::NodesFailed(nodes)), true) = (&words.about, self.engines.together()) {
            // No rank of such a node lives, and no other word comes of it.
            tasks.extend(self.engines_on(nodes));
        }
        let fresh = self.not_known_as_lost(tasks);
        // What is heard late of an engine that is being started again is not the cause of the next end, nor is in a step that works
        // what tells of no end: the kernel may have killed what an engine had started, hours before.
        // A world is started again only once its srun has ended.
        let together = self.engines.world || self.engines.together();
        let is_late = self.replaces() && of_tasks && fresh.is_empty() && !together;
        let of_others = words.about.is_some() && !words.is_about_memory();
        if words.explain_later_ends() {
            self.explain(words);
        } else if of_tasks && !is_late && self.is_of_other_nodes(&words.tasks) {
            self.engines.srun_said = Some(words);
        } else if !is_late && (starts || of_tasks || of_others) {
            self.engines.srun_said.get_or_insert(words);
        }
        self.tasks_gone(&fresh, Noticed::SrunsWords, out);
    }

    /// Slurm told why it kills tasks: that is the cause of what is heard of them later, and of an end that was heard just before. The end of
    /// another task, hours ago, is not, but where it takes all with it.
    fn explain(&mut self, words: Words) {
        let is_of_ours = match &words.about {
            Some(Topic::NodesFailed(nodes)) => !self.engines_on(nodes).is_empty(),
            _ => true,
        };
        if let Some(end) = &mut self.engines.unexplained
            && is_of_ours
            && end.failure.about != Some(About::Memory)
        {
            end.failure.cause = Some(words.text.clone());
            end.failure.hints = vec![gone::next_step_of_srun(&words).to_owned()];
            end.signal_comes |= words.about == Some(Topic::Ended);
        }
        let together = self.engines.world || self.engines.together();
        let known = self.engines.srun_said.as_ref();
        let is_first = known
            .is_some_and(|known| known.explain_later_ends() || together && !known.tasks.is_empty());
        if !is_first {
            self.engines.srun_said = Some(words);
        }
    }

    /// Whether what is known is that nodes failed on which none of these tasks was: engines without MPI outlive those of other nodes.
    fn is_of_other_nodes(&self, tasks: &[u32]) -> bool {
        let known = self.engines.srun_said.as_ref();
        let Some(Topic::NodesFailed(nodes)) = known.and_then(|words| words.about.as_ref()) else {
            return false;
        };
        let there = self.engines_on(nodes);
        let together = self.engines.world || self.engines.together();
        !together && !tasks.iter().any(|task| there.contains(task))
    }

    /// What is known besides of engines that never were ready.
    pub(super) fn with_bad_request(&self, mut failure: Failure) -> Failure {
        let starts = self.stage(Name::Engines) != Stage::Ready;
        if let Some(told) = self.engines.bad_request.as_ref().filter(|_| starts) {
            let told = format!("Slurm could not read what the MPI library asked of it ({told})");
            failure.cause = Some(match failure.cause.take() {
                Some(cause) => format!("{told}; {cause}"),
                None => told,
            });
            failure.hints.insert(0, gone::OTHER_MPI.to_owned());
        }
        failure
    }

    /// The first of Slurm's words in the last lines of an srun, or those that explain the others.
    fn words_in(&self, tail: &[String]) -> Option<Words> {
        let is_own = |words: &Words| (words.step).is_none_or(|step| self.is_step_of_engines(step));
        let said = || {
            tail.iter()
                .filter_map(|line| Words::read(line))
                .filter(is_own)
        };
        said()
            .find(Words::explain_later_ends)
            .or_else(|| said().next())
    }

    /// Whether the step of this number is one of the engines', as far as they have told: an engine may run steps of its own, whose words
    /// come among its own.
    fn is_step_of_engines(&self, step: u64) -> bool {
        let number = |place: &Report| place.step.as_ref()?.rsplit('.').next()?.parse().ok();
        let placed = self.engines.ids(|engine| engine.place.is_some());
        let mut told = placed
            .into_iter()
            .filter_map(|id| number(self.place_of(id)?))
            .peekable();
        told.peek().is_none() || told.any(|own: u64| own == step)
    }

    /// srun waits for its place in the job: the cause, if engines come too late.
    pub(super) fn srun_waits(&mut self, why: String, out: &mut Vec<Effect>) {
        warning(out, why.clone());
        self.engines.waits = Some(why);
    }

    /// A task of the step told who it is: whatever the step waited for, it is there.
    pub(super) fn placed(&mut self, report: Report) {
        self.engines.waits = None;
        // What else prints such a line is no task of ours, however often it does.
        if let Some(engine) = self.engines.get_mut(report.rank) {
            engine.place = Some(report);
        }
    }

    /// A task told the size of its MPI world: with a wrong type each is alone in its own, and srun sees no error.
    pub(super) fn world_seen(&mut self, seen: World, out: &mut Vec<Effect>) {
        // The first word counts: the others say the same.
        let Some(wanted) = self.world.take() else {
            return;
        };
        if wanted.size == seen.size {
            self.settle_engines(out);
            return;
        }
        let text = format!(
            "{}: that of engine {} has a size of {}, not {}",
            wanted.otherwise, seen.task, seen.size, wanted.size
        );
        if wanted.required {
            let mut failure = Failure::new(self.kind_of_now(), &text);
            failure.hints.clone_from(&wanted.hints);
            self.gone_for_good(Name::Engines, End::of(failure), out);
        } else {
            warning(out, format!("{text}; {}", wanted.hints.join("; ")));
            self.settle_engines(out);
        }
    }

    fn not_known_as_lost(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.retain(|id| {
            self.engines
                .is(*id, |engine| !engine.lost && !engine.has_left_the_step())
        });
        ids
    }

    /// Tasks are gone, while srun goes on.
    pub(super) fn tasks_gone(&mut self, ids: &[u32], noticed: Noticed, out: &mut Vec<Effect>) {
        let Some(first) = ids.first().copied() else {
            return;
        };
        let waits = action(noticed, self.policy(Unit::Engine(first))) == Action::Wait;
        if !waits && !self.engines.were_asked(ids) {
            out.push(Effect::ShowLog(Unit::Engine(first)));
        }
        let said = if self.replaces() && !waits {
            // What srun said of this end, if that is how it is known: it is asked once.
            self.engines.srun_said.take()
        } else {
            self.engines.srun_said.clone()
        };
        let kind = self.kind_of_now();
        let end = match said {
            Some(words) => {
                let text = self.with_memory(&words);
                gone::by_slurm(Failure::new(kind, text), &words)
            }
            None => Failure::new(kind, format!("{} left the hub's list", self.engine(first))),
        };
        self.gone(ids, noticed, end, out);
    }

    /// srun's words, and where they are about memory whose it was, and how much.
    fn with_memory(&self, words: &Words) -> String {
        let told = self.engines.short_of_memory.as_ref();
        match told.filter(|_| words.is_about_memory()) {
            Some(told) => format!("{}; {told}", words.text),
            None => words.text.clone(),
        }
    }

    /// The memory limit of these tasks, or of any: a step's tasks have the same; nothing where none told one.
    fn limit_of(&self, tasks: &[u32]) -> String {
        let placed = self.engines.ids(|engine| engine.place.is_some());
        let mut told = placed
            .into_iter()
            .filter(|rank| tasks.is_empty() || tasks.contains(rank))
            .filter_map(|rank| self.place_of(rank)?.memory);
        told.next().map_or_else(String::new, |bytes| {
            format!(" (the memory limit is {} MiB)", bytes >> 20)
        })
    }

    /// An engine as the first step had it: of one that was started again the place is another by now, and srun's words on its first end
    /// can come 2 s late.
    fn engine_of_the_step(&self, id: u32) -> String {
        if (self.engines).is(id, |engine| engine.arrives() || engine.is_back()) {
            return format!("engine {id} (before it was restarted)");
        }
        self.engine(id)
    }

    /// The engines that told that they run on one of these nodes.
    fn engines_on(&self, nodes: &[String]) -> Vec<u32> {
        (self.engines).ids(|engine| nodes.iter().any(|node| engine.is_on(node)))
    }

    /// An engine with the place that it told.
    pub(super) fn engine(&self, id: u32) -> String {
        match self.place_of(id) {
            Some(report) => format!(
                "engine {id} (rank {} on {}, pid {})",
                report.rank, report.node, report.pid
            ),
            None => format!("engine {id}"),
        }
    }

    /// An srun has ended: that of one engine, or the first, with all that were still its tasks.
    pub(super) fn step_of_some_ended(
        &mut self,
        unit: Unit,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        out: &mut Vec<Effect>,
    ) {
        let own = unit.engine();
        let whose = own.map_or_else(|| "the engines'".to_owned(), |id| format!("engine {id}'s"));
        let end = Failure::service(format!("{whose} srun (pid {pid}) ended with {exit}"));
        let words = self.words_in(tail);
        if let (Some(id), Some(words)) = (own, &words)
            && words.about == Some(Topic::NodeRefused)
        {
            return self.node_of_engine_is_refused(id, &words.text, out);
        }
        let end = match words {
            Some(words) => gone::by_slurm(end, &words).because(words.text),
            None => gone::by_itself(end, LastWords::read(exit, tail).as_ref()),
        };
        let ids: Vec<u32> = match own {
            Some(id) => vec![id],
            None => (self.engines).ids(|engine| !engine.lost && !engine.has_left_the_step()),
        };
        if ids.is_empty() {
            // Each of its engines had ended before, and was told.
            return;
        }
        if self.engines.were_asked(&ids) {
            self.say_shut_down(&ids, out);
        } else {
            warning(out, end.to_string());
            out.push(Effect::ShowLog(unit));
        }
        let noticed = match unit {
            Unit::EngineGroup => Noticed::GroupProcess,
            _ => Noticed::OwnProcess,
        };
        self.gone(&ids, noticed, end, out);
    }

    /// srun makes no step on the node where an engine was to start again: nor can the others there. That is told once.
    fn node_of_engine_is_refused(&mut self, id: u32, words: &str, out: &mut Vec<Effect>) {
        self.engines.lose(&[id]);
        let place = self.place_of(id).map(|report| report.node.clone());
        let told =
            (place.as_ref()).is_some_and(|node| !self.engines.refused_nodes.insert(node.clone()));
        let node = place.unwrap_or_else(|| "its node".to_owned());
        let mut ids = self
            .engines
            .ids(|engine| engine.is_on(&node) && !engine.listed);
        if !ids.contains(&id) {
            ids.push(id);
        }
        if !told {
            let who = named("engine", &ids);
            warning(
                out,
                format!(
                    "Slurm no longer starts steps on {node} ({words}): {who} cannot be restarted"
                ),
            );
        }
        let end = Failure::service(format!("Slurm no longer starts steps on {node}"))
            .because(words.to_owned());
        // One that is on its way tells its end itself.
        ids.retain(|id| {
            let waits = |engine: &Engine| {
                engine.lost && engine.has_left_the_step() && engine.life.stage != Stage::Ended
            };
            self.engines.is(*id, waits)
        });
        self.gone(&ids, Noticed::NodeRefused, end, out);
    }

    /// Where an engine told that it runs.
    #[must_use]
    pub fn place_of(&self, engine: u32) -> Option<&Report> {
        self.engines.get(engine)?.place.as_ref()
    }

    /// How many engines with lower ids are on the same node: which of the node's tasks it was in the first step.
    #[must_use]
    pub fn neighbours_below(&self, engine: u32) -> u32 {
        let Some(report) = self.place_of(engine) else {
            return 0;
        };
        let same = self.engines.ids(|other| other.is_on(&report.node));
        let below = same.into_iter().filter(|id| *id < engine);
        u32::try_from(below.count()).unwrap_or(u32::MAX)
    }

    /// How many engines are, or were, on the node of this one, itself among them.
    pub fn engines_beside(&self, engine: u32) -> u32 {
        let place = self.place_of(engine);
        let beside = place.map(|report| self.engines.ids(|other| other.is_on(&report.node)).len());
        u32::try_from(beside.unwrap_or(1)).unwrap_or(u32::MAX)
    }
}

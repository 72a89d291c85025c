//! What the engines' step tells when one srun stands for all engines. PURE.

use super::causes;
use super::{Effect, End, Machine, Phase, Stage, step_line, warning};
use crate::failure::{About, Failure};
use crate::plan::engines::{SHOWN, named};
use crate::plan::exit::MORE_MEMORY;
use crate::plan::name::{Name, ProcessId};
use crate::plan::task_lines::{Report, Topic, Words, World, is_cancelled};
use crate::supervisor::event::{Exit, OutOfMemory};

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
        let said = || tail.iter().find_map(|line| Words::read(line));
        let cause = self.engines.srun_said.clone().or_else(said);
        let starter = &self.engines.starter;
        let text = format!("the engines' {starter} (pid {pid}) ended with {exit}");
        let mut failure = Failure::new(self.kind_of_now(), text);
        if let Some(memory) = memory {
            failure = memory.explain(failure);
        } else if let Some(words) = cause {
            failure = causes::by_slurm(failure, &words);
            if failure.about != Some(About::Memory) {
                let cancelled = tail.iter().any(|line| is_cancelled(line));
                failure = failure.hint(causes::next_step_of_srun(&words, cancelled));
            }
            failure.cause = Some(self.with_memory(&words));
        } else {
            failure = failure.hint(causes::LINES_OF_ENGINES);
        }
        self.hear_slurm_first(failure, true, out);
    }

    /// Too few engines are left.
    pub(super) fn engines_failed(&mut self, failure: Failure, out: &mut Vec<Effect>) {
        if self.engines.step {
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
            .partition(|id| self.engines.by_client.contains(id));
        self.say_shut_down(&asked, out);
        for id in rest.iter().take(SHOWN) {
            warning(out, format!("{} left the hub's list", self.engine(*id)));
        }
        if rest.len() > SHOWN {
            warning(
                out,
                format!("{} left the hub's list", named("engine", &rest)),
            );
        }
        let left = self.engines.living() > fresh.len() || self.engines.any_on_its_way();
        let ready = self.stage(Name::Engines) == Stage::Ready && matches!(self.phase, Phase::Up);
        if left || rest.is_empty() || self.engines.each() || !ready {
            return self.lose_tasks(fresh, out);
        }
        // The last ones: srun, which lives, tells their end in a moment, or they have not ended.
        if !asked.is_empty() {
            self.lose_tasks(asked, out);
        }
        self.missed_from_set(rest, out);
    }

    /// srun told that something is wrong: it is the one that knows how a task ended.
    pub(super) fn srun_said(&mut self, words: Words, out: &mut Vec<Effect>) {
        if self.engines.were_asked(&words.tasks) {
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
            let who = if names.is_empty() {
                "engines".to_owned()
            } else {
                names.join(", ")
            };
            let limit = self.limit_of(&words.tasks);
            let told = format!("{who}: out of memory{limit}, by Slurm's count");
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
        // What is heard late of an engine that is being started again is not the cause of the next end.
        if !(self.replaces() && of_tasks && fresh.is_empty()) {
            self.engines.srun_said.get_or_insert(words);
        }
        out.push(Effect::Publish);
        if !fresh.is_empty() {
            self.lose_tasks(fresh, out);
        }
    }

    /// srun waits for its place in the job: the cause, if engines come too late.
    pub(super) fn srun_waits(&mut self, why: String, out: &mut Vec<Effect>) {
        warning(out, why.clone());
        self.engines.waits = Some(why);
        out.push(Effect::Publish);
    }

    /// A task of the step told who it is: whatever the step waited for, it is there.
    pub(super) fn placed(&mut self, report: Report, out: &mut Vec<Effect>) {
        self.engines.waits = None;
        // What else prints such a line is no task of ours, however often it does.
        if report.rank < self.engines.expected {
            self.engines.places.insert(report.rank, report);
        }
        out.push(Effect::Publish);
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
            out.push(Effect::Publish);
            self.settle_engines(out);
        }
    }

    fn not_known_as_lost(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.retain(|id| {
            *id < self.engines.expected
                && !self.engines.lost.contains(id)
                && !self.engines.has_left_the_step(*id)
        });
        ids
    }

    /// These engines are gone, while srun goes on with the others.
    fn lose_tasks(&mut self, ids: Vec<u32>, out: &mut Vec<Effect>) {
        let index = ids.first().copied().unwrap_or_default();
        let asked = self.engines.were_asked(&ids);
        if !asked {
            out.push(self.show_engine(index));
        }
        if self.replaces() {
            return self.tasks_ended(ids, out);
        }
        self.engines.lost.extend(ids);
        if matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready) {
            let service = Name::Engines;
            let kind = self.kind_of_now();
            let end = match self.engines.srun_said.clone() {
                Some(words) => {
                    let text = self.with_memory(&words);
                    causes::by_slurm(Failure::new(kind, text), &words)
                }
                None => Failure::new(kind, format!("{} left the hub's list", self.engine(index))),
            };
            if asked {
                self.engine_lost(ProcessId { service, index }, &end, out);
            } else if self.restarts_the_set() {
                self.hear_slurm_first(end, false, out);
            } else {
                self.engine_lost(ProcessId { service, index }, &end, out);
            }
        }
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
        let places = &self.engines.places;
        let mut told = places
            .iter()
            .filter(|(rank, _)| tasks.is_empty() || tasks.contains(rank))
            .filter_map(|(_, report)| report.memory);
        told.next().map_or_else(String::new, |bytes| {
            format!(", where the memory limit is {} MiB", bytes >> 20)
        })
    }

    /// An engine as the first step had it: of one that was started again the place is another by now, and srun's words on its first end
    /// can come 2 s late.
    fn engine_of_the_step(&self, id: u32) -> String {
        if self.engines.arrives(id) || self.engines.is_back(id) {
            return format!("engine {id}, before it was started again");
        }
        self.engine(id)
    }

    /// The engines that told that they run on one of these nodes.
    fn engines_on(&self, nodes: &[String]) -> Vec<u32> {
        let places = self.engines.places.iter();
        places
            .filter(|(_, report)| nodes.contains(&report.node))
            .map(|(rank, _)| *rank)
            .collect()
    }

    /// An engine with the place that it told.
    pub(super) fn engine(&self, id: u32) -> String {
        match self.engines.places.get(&id) {
            Some(report) => format!(
                "engine {id} (rank {} on {}, pid {})",
                report.rank, report.node, report.pid
            ),
            None => format!("engine {id}"),
        }
    }
}

#[cfg(test)]
mod tests;

//! What the engines' step tells when one srun stands for all engines. PURE.

use super::engines::named;
use super::running::first_process;
use super::{Effect, Machine, Stage, warning};
use crate::plan::report::{Words, World};
use crate::plan::service::{Name, ProcessId};
use crate::supervisor::event::Exit;

/// Lost engines that are named with their places.
const SHOWN: usize = 8;

impl Machine {
    /// srun has ended, and with it every engine.
    pub(super) fn step_ended(
        &mut self,
        pid: u32,
        exit: &Exit,
        tail: &[String],
        out: &mut Vec<Effect>,
    ) {
        let said = || tail.iter().find_map(|line| Words::read(line));
        let cause = self
            .engines
            .srun_said
            .clone()
            .or_else(|| said().map(|words| words.text));
        out.push(Effect::ShowLog(first_process(Name::Engines)));
        let mut failure =
            self.kind_of_now(&format!("the engines' srun (pid {pid}) ended with {exit}"));
        failure.cause = cause;
        self.fail(
            failure.hint("the last lines of the engines' log are above"),
            out,
        );
    }

    /// Engines left the hub's list: their nanny or their silence told it of their end.
    pub(super) fn lost_from_step(&mut self, gone: Vec<u32>, out: &mut Vec<Effect>) {
        let fresh = self.not_known_as_lost(gone);
        if fresh.is_empty() {
            return;
        }
        for id in fresh.iter().take(SHOWN) {
            warning(out, format!("{} left the hub's list", self.engine(*id)));
        }
        if fresh.len() > SHOWN {
            warning(out, format!("{} left the hub's list", named(&fresh)));
        }
        self.lose_tasks(fresh, out);
    }

    /// srun told that something is wrong: it is the one that knows how a task ended.
    pub(super) fn srun_said(&mut self, words: Words, out: &mut Vec<Effect>) {
        if words.text.contains("step creation") {
            // It says so again and again until it gets its place.
            if self.engines.srun_said.is_none() {
                warning(
                    out,
                    format!(
                        "{}; `squeue --steps` shows the steps that hold the nodes",
                        words.text
                    ),
                );
            }
        } else {
            warning(out, words.text.clone());
        }
        self.engines.srun_said.get_or_insert(words.text);
        out.push(Effect::Publish);
        let fresh = self.not_known_as_lost(words.tasks);
        if !fresh.is_empty() {
            self.lose_tasks(fresh, out);
        }
    }

    /// A task told the size of its MPI world: with a wrong type each is alone in its own, and srun sees no error.
    pub(super) fn world_seen(&mut self, seen: World, out: &mut Vec<Effect>) {
        // Said once: the others say the same.
        let Some(wanted) = self.world.take_if(|wanted| wanted.size != seen.size) else {
            return;
        };
        let kind = match &wanted.asked {
            Some(name) => format!("--mpi {name} made no common MPI world"),
            None => "--mpi auto found no type that makes a common MPI world".to_owned(),
        };
        let text = format!(
            "{kind}: that of engine {} has a size of {}, not {}",
            seen.task, seen.size, wanted.size
        );
        let types = wanted.types.join(", ");
        if wanted.asked.is_some() {
            let failure = self
                .kind_of_now(&text)
                .hint(format!("`srun --mpi=list` offers {types}"))
                .hint("pmi2 is for MPICH and its relatives, pmix for Open MPI; --mpi none for engines without MPI");
            self.fail(failure, out);
        } else {
            warning(
                out,
                format!("{text}; --mpi TYPE names one, `srun --mpi=list` offers {types}"),
            );
            out.push(Effect::Publish);
        }
    }

    fn not_known_as_lost(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.retain(|id| *id < self.engines.expected && !self.engines.lost.contains(id));
        ids
    }

    /// These engines are gone, while srun goes on with the others.
    fn lose_tasks(&mut self, ids: Vec<u32>, out: &mut Vec<Effect>) {
        let index = ids.first().copied().unwrap_or_default();
        out.push(Effect::ShowLog(first_process(Name::Engines)));
        self.engines.lost.extend(ids);
        if matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready) {
            let service = Name::Engines;
            self.engine_lost(ProcessId { service, index }, out);
        }
    }

    /// An engine with the place that it told.
    fn engine(&self, id: u32) -> String {
        match self.engines.places.get(&id) {
            Some(report) => format!(
                "engine {id} (rank {} on {}, pid {})",
                report.rank, report.node, report.pid
            ),
            None => format!("engine {id}"),
        }
    }
}

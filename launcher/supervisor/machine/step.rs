//! What the engines' step tells when one srun stands for all engines. PURE.

use super::running::first_process;
use super::{Effect, Machine, Stage, warning};
use crate::failure::Failure;
use crate::plan::engines::{SHOWN, named};
use crate::plan::report::{Report, Words, World};
use crate::plan::service::{Name, ProcessId};
use crate::supervisor::event::Exit;

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
        let text = format!("the engines' srun (pid {pid}) ended with {exit}");
        let mut failure = Failure::new(self.kind_of_now(), text);
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
            warning(
                out,
                format!("{} left the hub's list", named("engine", &fresh)),
            );
        }
        self.lose_tasks(fresh, out);
    }

    /// srun told that something is wrong: it is the one that knows how a task ended.
    pub(super) fn srun_said(&mut self, words: Words, out: &mut Vec<Effect>) {
        warning(out, words.text.clone());
        self.engines.srun_said.get_or_insert(words.text);
        out.push(Effect::Publish);
        let fresh = self.not_known_as_lost(words.tasks);
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
        self.engines.places.insert(report.rank, report);
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
            self.fail(failure, out);
        } else {
            warning(out, format!("{text}; {}", wanted.hints.join("; ")));
            out.push(Effect::Publish);
            self.settle_engines(out);
        }
    }

    fn not_known_as_lost(&self, mut ids: Vec<u32>) -> Vec<u32> {
        ids.retain(|id| *id < self.engines.expected && !self.engines.lost.contains(id));
        ids
    }

    /// These engines are gone, while srun goes on with the others.
    fn lose_tasks(&mut self, ids: Vec<u32>, out: &mut Vec<Effect>) {
        let index = ids.first().copied().unwrap_or_default();
        out.push(self.show_engine(index));
        self.engines.lost.extend(ids);
        if matches!(self.stage(Name::Engines), Stage::Starting | Stage::Ready) {
            let service = Name::Engines;
            let text = match &self.engines.srun_said {
                Some(words) => words.clone(),
                None => format!("{} left the hub's list", self.engine(index)),
            };
            let end = Failure::new(self.kind_of_now(), text);
            self.engine_lost(ProcessId { service, index }, &end, out);
        }
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
mod tests {
    use super::super::{Event, Level, Phase, State, Timer};
    use super::*;
    use crate::plan::WantedWorld;
    use crate::plan::report::Report;
    use crate::plan::service::{Asking, Environment, Process, Readiness, Service, Streams};
    use core::time::Duration;
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    /// A machine whose only service is a step of three engines.
    fn started(world: Option<&str>) -> Machine {
        let engines = Service {
            name: Name::Engines,
            after: Vec::new(),
            processes: vec![Process {
                program: PathBuf::from("srun"),
                args: Vec::new(),
                log: PathBuf::from("log"),
            }],
            environment: Environment::default(),
            streams: Streams::Log,
            port: None,
            ready: Readiness::Engines {
                expected: 3,
                minimum: 2,
                step: true,
                world: false,
            },
            asking: Asking::Signal,
            start_limit: Duration::from_secs(5),
            stop_limit: Duration::from_secs(1),
        };
        let world = world.map(|asked| WantedWorld {
            size: 3,
            required: asked != "auto",
            otherwise: format!("--mpi {asked} made no common MPI world"),
            hints: vec!["`srun --mpi=list` offers pmi2".to_owned()],
        });
        let mut machine = Machine::new(&[engines], Duration::from_secs(9)).expecting_a_world(world);
        let _ = machine.step(Event::Begin);
        machine
    }

    fn registered(machine: &mut Machine, ids: &[u32]) -> Vec<String> {
        warnings(machine.step(Event::Registered(
            ids.iter().copied().collect::<BTreeSet<_>>(),
        )))
    }

    fn said(machine: &mut Machine, text: &str, tasks: &[u32]) -> Vec<String> {
        warnings(machine.step(Event::SrunSaid(Words {
            text: text.to_owned(),
            tasks: tasks.to_vec(),
        })))
    }

    fn warnings(effects: Vec<Effect>) -> Vec<String> {
        let warning = |effect| match effect {
            Effect::Say(Level::Warning, text) => Some(text),
            _ => None,
        };
        effects.into_iter().filter_map(warning).collect()
    }

    #[test]
    fn a_lost_engine_is_named_with_its_place_and_its_end() {
        let mut machine = started(None);
        let _ = machine.step(Event::Placed(Report {
            rank: 1,
            node: "node2".to_owned(),
            pid: 56,
            step: None,
        }));
        registered(&mut machine, &[0, 1, 2]);
        assert_eq!(machine.state(), State::Ready);
        let line = "engine 1 (rank 1 on node2, pid 56) left the hub's list";
        assert_eq!(registered(&mut machine, &[0, 2]), [line]);
        let words = "srun: error: node2: task 1: Killed";
        assert_eq!(said(&mut machine, words, &[1]), [words]);
        assert_eq!(machine.state(), State::Degraded);
        assert_eq!(machine.missing_engines(), [1]);
    }

    #[test]
    fn tasks_that_end_before_they_register_end_the_start_with_their_cause() {
        let mut machine = started(None);
        said(&mut machine, "srun: error: node2: task 1: Killed", &[1]);
        assert_eq!(machine.reason(), None, "two are wanted, and two are left");
        said(&mut machine, "srun: error: node3: task 2: Killed", &[2]);
        let reason = machine.reason().expect("too few are left");
        assert!(
            reason.ends_with("srun: error: node2: task 1: Killed"),
            "{reason}"
        );
    }

    #[test]
    fn engines_that_never_register_are_told_with_place_lines_and_cause() {
        let mut machine = started(None);
        let waits = "srun: step creation temporarily disabled; the nodes are held by step 4.0";
        let told = warnings(machine.step(Event::SrunWaits(waits.to_owned())));
        assert_eq!(told, [waits]);
        let late = Event::TimeUp(Timer::Service(Name::Engines));
        let end = |effects: Vec<Effect>, machine: &Machine| {
            let shown: Vec<u32> = effects
                .iter()
                .filter_map(|effect| match effect {
                    Effect::ShowTask(task) => Some(*task),
                    _ => None,
                })
                .collect();
            let Phase::Stopping { end, .. } = &machine.phase else {
                panic!("it goes on");
            };
            (shown, end.failure.clone().expect("a failure"))
        };
        let mut waiting = machine.clone();
        let effects = waiting.step(late.clone());
        assert_eq!(end(effects, &waiting).1.cause.as_deref(), Some(waits));

        let _ = machine.step(Event::Placed(Report {
            rank: 1,
            node: "node2".to_owned(),
            pid: 56,
            step: None,
        }));
        registered(&mut machine, &[0]);
        let effects = machine.step(late);
        let (shown, failure) = end(effects, &machine);
        assert_eq!(shown, [1], "engine 2 has not come");
        assert_eq!(failure.cause, None, "the step has been created since");
        let hint = "not registered: engine 1 (rank 1 on node2, pid 56), engine 2";
        assert_eq!(failure.hints[0], hint);
    }

    #[test]
    fn a_world_of_its_own_for_every_engine_is_never_ready() {
        let alone = World { task: 2, size: 1 };
        let mut machine = started(Some("pmix"));
        registered(&mut machine, &[0, 1, 2]);
        assert_eq!(machine.state(), State::Starting);
        let mut asked = machine.clone();
        let _ = asked.step(Event::World(alone));
        assert!(
            asked
                .reason()
                .is_some_and(|text| text.contains("--mpi pmix"))
        );
        let _ = machine.step(Event::World(World { task: 0, size: 3 }));
        assert_eq!(machine.state(), State::Ready);

        let mut machine = started(Some("auto"));
        registered(&mut machine, &[0, 1, 2]);
        let mut silent = machine.clone();
        assert_eq!(warnings(machine.step(Event::World(alone))).len(), 1);
        assert_eq!(machine.state(), State::Ready, "only a warning");
        let _ = silent.step(Event::TimeUp(Timer::World));
        assert_eq!(silent.state(), State::Ready, "no word is no hindrance");
    }
}

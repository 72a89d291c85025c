//! What srun tells of the engines of a step.

use super::*;
use crate::plan::WantedWorld;
use crate::plan::exit::MORE_MEMORY;
use crate::plan::name::Unit;
use crate::plan::service::{Asking, Environment, Process, Readiness, Service, Streams};
use crate::plan::share::Share;
use crate::plan::task_lines::Report;
use crate::plan::task_lines::World;
use crate::supervisor::event::Level;
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
        carried: Vec::new(),
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
        restart_limit: Duration::from_secs(5),
        stop_limit: Duration::from_secs(1),
    };
    let world = world.map(|asked| WantedWorld {
        size: 3,
        required: asked != "auto",
        otherwise: format!("--mpi {asked} made no common MPI world"),
        hints: vec!["`srun --mpi=list` offers pmi2".to_owned()],
    });
    let mut machine = Machine::new(&[engines], Duration::from_secs(9)).expecting_a_world(world);
    let _ = machine.on(Event::Begin);
    machine
}

fn registered(machine: &mut Machine, ids: &[u32]) -> Vec<String> {
    warnings(machine.on(Event::Registered(
        ids.iter().copied().collect::<BTreeSet<_>>(),
    )))
}

fn said(machine: &mut Machine, text: &str) -> Vec<String> {
    let words = Words::read(text).expect("Slurm's");
    warnings(machine.on(Event::SrunSaid(words)))
}

/// A task tells who it is.
fn placed(machine: &mut Machine, rank: u32, node: &str, step: Option<&str>, memory: Option<u64>) {
    let _ = machine.on(Event::Placed(Report {
        rank,
        node: node.to_owned(),
        pid: 56,
        step: step.map(str::to_owned),
        memory,
        share: Share::default(),
    }));
}

/// The engines' srun has ended with this code and these last lines.
fn srun_ended(code: i32, tail: &[&str]) -> Event {
    Event::Exited {
        unit: Unit::EngineGroup,
        pid: 7,
        exit: Exit::Code(code),
        tail: tail.iter().map(|line| (*line).to_owned()).collect(),
        memory: None,
    }
}

/// What the job has failed of, where Slurm has not said in time that it ends it.
fn failure(machine: &mut Machine) -> Failure {
    let _ = machine.on(Event::TimeUp(Timer::JobEnds { generation: 0 }));
    let (Phase::Stopping { end, .. } | Phase::LastSweep { end }) = &machine.phase else {
        panic!("it goes on");
    };
    end.failure.clone().expect("a failure")
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
    placed(&mut machine, 1, "node2", None, Some(600 << 20));
    registered(&mut machine, &[0, 1, 2]);
    assert_eq!(machine.state(), State::Ready);
    let line = "engine 1 (rank 1 on node2, pid 56) left the hub's list";
    assert_eq!(registered(&mut machine, &[0, 2]), [line]);
    let words = "srun: error: node2: task 1: Killed";
    assert_eq!(said(&mut machine, words), [words]);
    assert_eq!(machine.state(), State::Degraded);
    assert_eq!(machine.missing_engines(), [1]);
}

#[test]
fn a_cancelled_step_is_no_matter_of_memory() {
    let hint = |told: &str| {
        let mut machine = started(None);
        placed(&mut machine, 0, "node1", Some("4.0"), None);
        registered(&mut machine, &[0, 1, 2]);
        let killed = "srun: error: node1: tasks 0-2: Killed";
        let _ = machine.on(srun_ended(137, &[told, killed]));
        failure(&mut machine).hints[0].clone()
    };
    let told = "0: slurmstepd: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15 ***";
    assert!(hint(told).contains("scancel JOB.STEP"));
    let of_a_task = told.replace("4.0", "4.1");
    assert!(hint(&of_a_task).contains("out-of-memory killer?"));
}

/// The failure that a job of three engines ends with after these words of Slurm's, where its srun has ended or all its tasks have.
fn failure_after(words: &[&str], ready: bool, tail: Option<&[&str]>) -> Failure {
    let mut machine = started(None);
    for (rank, node) in [(0, "node1"), (1, "node1"), (2, "node2")] {
        placed(&mut machine, rank, node, Some("4.0"), None);
    }
    if ready {
        registered(&mut machine, &[0, 1, 2]);
    }
    for words in words {
        let _ = said(&mut machine, words);
    }
    if let Some(tail) = tail {
        let _ = machine.on(srun_ended(137, tail));
    }
    failure(&mut machine)
}

#[test]
fn a_step_that_srun_gave_up_was_not_cancelled_by_somebody() {
    let launch =
        "srun: error: Task launch for StepId=4.0 failed on node node2: Unable to contact slurmd";
    let told = "0: slurmstepd: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15 ***";
    let killed = "srun: error: node1: tasks 0-1: Killed";
    for (before, tail) in [
        (&[launch][..], &[launch, told, killed][..]),
        // Long enough ago for the last lines to be others, or too short for the log to have been read.
        (&[launch], &[told, killed]),
        (&[], &[launch, told, killed]),
    ] {
        let failure = failure_after(before, false, Some(tail));
        assert_eq!(failure.cause.as_deref(), Some(launch), "{before:?}");
        let hints = failure.hints.join("; ");
        assert!(
            hints.contains("srun ended the engines' step because of that"),
            "{hints}"
        );
        assert!(!hints.contains("scancel"), "{hints}");
    }
}

#[test]
fn a_node_that_failed_is_the_cause_of_the_ends_that_it_brings() {
    let node = "srun: error: Node failure on node[1-2]";
    let ended = "0: slurmstepd-node1: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-27T05:05:16 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***";
    let killed = "srun: error: node1: tasks 0-1: Killed";
    let others = "srun: error: node2: task 2: Killed";
    for cause in [node, ended] {
        for words in [[cause, killed, others], [killed, others, cause]] {
            let failure = failure_after(&words, true, None);
            assert!(failure.to_string().contains(cause), "{words:?}: {failure}");
            let failure = failure_after(&[], true, Some(&words));
            assert!(failure.to_string().contains(cause), "{words:?}: {failure}");
            let hints = failure.hints.join("; ");
            assert!(!hints.contains("out-of-memory killer"), "{hints}");
        }
    }
    // Of what was lost long before nothing follows.
    let failure = failure_after(&[others, ended], true, Some(&[killed]));
    assert_eq!(failure.cause.as_deref(), Some(ended));
    let other_node = "srun: error: Node failure on node2";
    let failure = failure_after(&[other_node, others, killed], true, None);
    let text = failure.to_string();
    assert!(
        text.contains(killed) && !text.contains(other_node),
        "{text}"
    );
}

#[test]
fn a_world_that_its_lost_rank_ended_was_not_cancelled() {
    let end = |world: bool, is_late: bool| {
        let mut machine = started(None);
        machine.engines.world = world;
        registered(&mut machine, &[0, 1, 2]);
        let first = "srun: error: node2: task 2: Out Of Memory";
        let _ = said(&mut machine, first);
        let told =
            "0: slurmstepd: error: *** STEP 4.0 ON node1 CANCELLED AT 2026-11-26T19:54:15 ***";
        let killed = "srun: error: node1: tasks 0-1: Killed";
        // It was said long enough ago for the last lines to be others, or after Slurm had killed the others for it.
        let tail = [told, first, killed];
        let tail = if is_late { &tail[..] } else { &[told, killed] };
        let _ = machine.on(srun_ended(137, tail));
        failure(&mut machine).cause.expect("a cause")
    };
    assert!(end(true, false).contains("task 2: Out Of Memory"));
    assert!(end(true, true).contains("task 2: Out Of Memory"));
    assert!(end(false, false).contains("CANCELLED AT"));
}

#[test]
fn a_request_of_mpi_that_slurm_could_not_read_is_the_cause_until_the_world_stands() {
    let end = |ready: bool| {
        let mut machine = started(None);
        if ready {
            registered(&mut machine, &[0, 1, 2]);
        }
        let words =
            "2: slurmstepd-node2: error: mpi/pmi2: value not properly terminated in client request";
        let told = said(&mut machine, words);
        let _ = said(
            &mut machine,
            "srun: error: node1: task 0: Exited with exit code 15",
        );
        let _ = machine.on(srun_ended(15, &[]));
        let failure = failure(&mut machine);
        (told, format!("{failure} {:?}", failure.hints))
    };
    let (told, failure) = end(false);
    assert!(told[0].contains("MPICH 5.0"), "{told:?}");
    assert!(failure.contains("could not read what the MPI library asked of it (2: slurmstepd"));
    assert!(failure.contains("--mpi none"), "{failure}");
    let (told, failure) = end(true);
    assert_eq!(told, [""; 0]);
    assert!(!failure.contains("MPI"), "{failure}");
}

#[test]
fn tasks_that_end_for_want_of_memory_are_told_with_what_to_do() {
    let mut machine = started(None);
    let counted = "0: slurmstepd: error: Detected 1 oom_kill event in StepId=4.0.";
    let told = said(&mut machine, counted);
    assert_eq!(told[0], counted);
    assert!(told[1].starts_with(
        "Slurm counted an out-of-memory kill among the engines and what they started; ask Slurm"
    ));
    placed(&mut machine, 1, "node2", None, Some(600 << 20));
    let words = "srun: error: node2: task 1: Out Of Memory";
    let told = said(&mut machine, words);
    let whose = "engine 1 (rank 1 on node2, pid 56) ended after Slurm counted an out-of-memory kill there (the memory limit is 600 MiB)";
    assert!(told[1].starts_with(whose), "{told:?}");
    let _ = machine.on(srun_ended(137, &[]));
    let _ = machine.on(Event::Taken(Taken::Not));
    let Phase::Stopping { end, .. } = &machine.phase else {
        panic!("it goes on");
    };
    let failure = end.failure.as_ref().expect("a failure");
    assert_eq!(failure.cause, Some(format!("{counted}; {whose}")));
    assert_eq!(failure.hints, [MORE_MEMORY]);
}

#[test]
fn an_srun_that_outlives_its_engines_is_told_from_engines_that_do_not_end() {
    let told = |left: &[u32]| {
        let mut machine = started(None);
        registered(&mut machine, &[0, 1, 2]);
        let _ = machine.on(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        registered(&mut machine, left);
        let effects = machine.on(Event::TimeUp(Timer::Stage {
            unit: Unit::EngineGroup,
            generation: 0,
            stage: Stage::Terminating,
        }));
        assert!(effects.contains(&Effect::Kill(Unit::EngineGroup)));
        let said = |wanted: Level| {
            let texts = effects.iter().filter_map(move |effect| match effect {
                Effect::Say(level, text) if *level == wanted => Some(text.clone()),
                _ => None,
            });
            texts.collect::<Vec<_>>()
        };
        (said(Level::Step), said(Level::Warning))
    };
    let (steps, warnings) = told(&[]);
    assert_eq!(warnings, [""; 0]);
    let text = "the engines ended, but srun did not: killed after its share of --stop-timeout";
    assert_eq!(steps, [text]);
    let (steps, warnings) = told(&[1]);
    assert_eq!(steps, [""; 0]);
    let text = "engines did not end when asked: killed after its share of --stop-timeout";
    assert_eq!(warnings, [text]);
}

#[test]
fn a_child_that_was_short_of_memory_is_no_cause_of_a_later_end() {
    let mut machine = started(None);
    registered(&mut machine, &[0, 1, 2]);
    let counted = "0: slurmstepd: error: Detected 1 oom_kill event in StepId=4.0.";
    let told = said(&mut machine, counted);
    assert!(told[1].contains("what they started"), "{told:?}");
    let _ = machine.on(srun_ended(137, &[]));
    let _ = machine.on(Event::Taken(Taken::Not));
    let Phase::Stopping { end, .. } = &machine.phase else {
        panic!("it goes on");
    };
    let failure = end.failure.as_ref().expect("a failure");
    assert_eq!((&failure.cause, failure.about), (&None, None));
    assert!(!failure.hints.iter().any(|hint| hint == MORE_MEMORY));
}

#[test]
fn tasks_that_end_before_they_register_end_the_start_with_their_cause() {
    let mut machine = started(None);
    said(&mut machine, "srun: error: node2: task 1: Killed");
    assert_eq!(machine.reason(), None, "two are wanted, and two are left");
    said(&mut machine, "srun: error: node3: task 2: Killed");
    assert_eq!(machine.reason(), None, "Slurm is asked first");
    let _ = machine.on(Event::Taken(Taken::Not));
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
    let told = warnings(machine.on(Event::SrunWaits(waits.to_owned())));
    assert_eq!(told, [waits]);
    let late = Event::TimeUp(Timer::Stage {
        unit: Unit::EngineGroup,
        generation: 0,
        stage: Stage::Starting,
    });
    let end = |effects: Vec<Effect>, machine: &Machine| {
        let shown: Vec<u32> = effects
            .iter()
            .filter_map(|effect| match effect {
                Effect::ShowLog(Unit::Engine(task)) => Some(*task),
                _ => None,
            })
            .collect();
        let Phase::Stopping { end, .. } = &machine.phase else {
            panic!("it goes on");
        };
        (shown, end.failure.clone().expect("a failure"))
    };
    let mut waiting = machine.clone();
    let effects = waiting.on(late.clone());
    assert_eq!(end(effects, &waiting).1.cause.as_deref(), Some(waits));

    placed(&mut machine, 1, "node2", None, None);
    registered(&mut machine, &[0]);
    let effects = machine.on(late);
    let (shown, failure) = end(effects, &machine);
    assert_eq!(shown, [1], "engine 2 has not come");
    assert_eq!(failure.cause, None, "the step has been created since");
    let hint = "not registered: engine 1 (rank 1 on node2, pid 56), engine 2";
    assert_eq!(failure.hints[0], hint);
}

#[test]
fn an_srun_that_knows_of_the_jobs_end_first_is_no_failure() {
    for words in ["Slurm job 2 has expired", "node1: task 0: Terminated"] {
        knows_first(words);
    }
}

fn knows_first(words: &str) {
    let mut machine = started(None);
    let _ = machine.on(srun_ended(1, &[&format!("srun: error: {words}")]));
    assert_eq!(machine.reason(), None);
    // Slurm's signal comes all the same.
    let _ = machine.on(Event::Taken(Taken::Not));
    assert_eq!(machine.reason(), None);
    let mut alone = machine.clone();
    let _ = machine.on(Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    });
    assert_eq!(machine.reason(), Some("SIGTERM"));
    let _ = alone.on(Event::TimeUp(Timer::JobEnds { generation: 0 }));
    let reason = alone.reason().expect("it fails");
    assert!(reason.ends_with(words), "{reason}");
}

#[test]
fn engines_that_slurm_ends_for_another_job_are_no_failure() {
    let mut machine = started(None);
    registered(&mut machine, &[0, 1, 2]);
    let ended = |machine: &mut Machine| {
        let words = "srun: error: node1: task 0: Exited with exit code 1";
        machine.on(srun_ended(1, &[words]))
    };
    assert!(ended(&mut machine).contains(&Effect::Look(Look::Preemption)));
    assert_eq!(machine.reason(), None);
    let mut other = machine.clone();
    let mut silent = machine.clone();
    let _ = machine.on(Event::Taken(Taken::ForAnother));
    let Phase::Stopping { end, .. } = &machine.phase else {
        panic!("it goes on");
    };
    assert_eq!((end.code, &end.failure), (0, &None));
    assert!(end.reason.starts_with("preemption: "), "{}", end.reason);
    let mut cancelled = other.clone();
    let _ = cancelled.on(Event::Taken(Taken::ForGood));
    let Phase::Stopping { end, .. } = &cancelled.phase else {
        panic!("it goes on");
    };
    assert_eq!((end.code, &end.failure), (0, &None));
    assert_eq!(end.reason, "Slurm ends the job");
    let _ = other.on(Event::Taken(Taken::Not));
    let _ = silent.on(Event::TimeUp(Timer::JobEnds { generation: 0 }));
    for failed in [other, silent] {
        let reason = failed.reason().expect("it fails");
        assert!(
            reason.starts_with("the engines' srun (pid 7) ended"),
            "{reason}"
        );
    }
    let mut well = started(None);
    for taken in [Taken::ForAnother, Taken::ForGood] {
        let _ = well.on(Event::Taken(taken));
    }
    assert_eq!(well.reason(), None, "nobody has asked");
}

#[test]
fn a_world_of_its_own_for_every_engine_is_never_ready() {
    let alone = World { task: 2, size: 1 };
    let mut machine = started(Some("pmix"));
    registered(&mut machine, &[0, 1, 2]);
    assert_eq!(machine.state(), State::Starting);
    let mut asked = machine.clone();
    let _ = asked.on(Event::World(alone));
    assert!(
        asked
            .reason()
            .is_some_and(|text| text.contains("--mpi pmix"))
    );
    let _ = machine.on(Event::World(World { task: 0, size: 3 }));
    assert_eq!(machine.state(), State::Ready);

    let mut machine = started(Some("auto"));
    registered(&mut machine, &[0, 1, 2]);
    let mut silent = machine.clone();
    assert_eq!(warnings(machine.on(Event::World(alone))).len(), 1);
    assert_eq!(machine.state(), State::Ready, "only a warning");
    let _ = silent.on(Event::TimeUp(Timer::World { generation: 0 }));
    assert_eq!(silent.state(), State::Ready, "no word is no hindrance");
}

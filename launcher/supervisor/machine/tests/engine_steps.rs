//! Engines of a step that are started again as steps of their own.

use super::engines::pause;
use super::*;
use crate::plan::share::Share;
use crate::plan::task_lines::Report;
use crate::supervisor::event::Level;

fn world() -> World {
    let mut world = up(1, Name::Engines);
    world.machine = world.machine.replacing_engines(true);
    world
}

fn first_step_ended(words: &str) -> Event {
    exited(Unit::EngineGroup, Exit::Code(137), &[words])
}

fn own_step_ended(engine: u32) -> Event {
    exited(Unit::Engine(engine), Exit::Code(137), &[])
}

/// Lets the pause before an engine's next start pass.
fn rest(world: &mut World, effects: &[Effect]) -> (u64, Vec<Effect>) {
    let (timer, seconds) = pause(effects).expect("a pause");
    (seconds, world.machine.on(Event::TimeUp(timer)))
}

#[test]
fn a_killed_task_becomes_a_step_of_its_own() {
    let mut world = world();
    let said = world.machine.on(killed(&[1]));
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.on(killed(&[1])).len(), 1, "told, and no more");
    let (_, none) = rest(&mut world, &said);
    assert_eq!(none, [], "the hub would give it another id");
    assert!(
        world
            .machine
            .on(listed(&[0]))
            .contains(&restart(Unit::Engine(1)))
    );
    let _ = world.machine.on(listed(&[0, 1]));
    assert_eq!(world.machine.state(), State::Ready);
    // What the first step says of its task, late, is not about the new engine.
    let _ = world.machine.on(killed(&[1]));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn a_frozen_engine_is_replaced_whether_it_is_a_task_or_a_step() {
    let mut world = world();
    let first = world.machine.on(listed(&[0]));
    let (_, again) = rest(&mut world, &first);
    assert!(
        again.contains(&restart(Unit::Engine(1))),
        "who starts ends the frozen one"
    );
    let _ = world.machine.on(listed(&[0, 1]));
    let second = world.machine.on(listed(&[0]));
    assert_eq!(pause(&second), None, "its srun may tell of its end");
    let frozen = world.machine.on(Event::TimeUp(Timer::Dropped));
    assert!(frozen.contains(&Effect::Kill(Unit::Engine(1))));
    let ended = world.machine.on(own_step_ended(1));
    assert_eq!(pause(&ended).map(|(_, seconds)| seconds), Some(1));
}

#[test]
fn the_end_of_the_first_step_is_that_of_the_engines_still_in_it() {
    let mut world = world();
    let said = world.machine.on(killed(&[1]));
    let _ = world.machine.on(listed(&[0]));
    let (_, again) = rest(&mut world, &said);
    assert!(again.contains(&restart(Unit::Engine(1))));
    let _ = world.machine.on(listed(&[0, 1]));
    let ended = world
        .machine
        .on(first_step_ended("srun: error: node1: task 0: Killed"));
    assert_eq!(world.machine.missing_engines(), [0]);
    assert_eq!(world.machine.reason(), None);
    let _ = world.machine.on(listed(&[1]));
    let (_, again) = rest(&mut world, &ended);
    assert!(again.contains(&restart(Unit::Engine(0))));
    let _ = world.machine.on(listed(&[0, 1]));
    assert_eq!(world.machine.state(), State::Ready);
    let _ = world.machine.on(Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    });
    assert_eq!(world.machine.state(), State::Stopping);
}

#[test]
fn nothing_is_started_again_while_slurm_takes_the_job_down() {
    let mut world = world();
    let ended = world.machine.on(first_step_ended(
        "srun: error: node1: tasks 0-1: Terminated",
    ));
    let (_, seconds) = pause(&ended).expect("a pause");
    assert_eq!(seconds, SIGNAL_PATIENCE.as_secs());
    let stop = world.machine.on(Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    });
    assert_eq!(world.machine.reason(), Some("SIGTERM"), "{stop:?}");
}

#[test]
fn an_engine_of_a_step_that_ends_again_and_again_is_left_out_by_name() {
    let mut world = world();
    let mut effects = world.machine.on(killed(&[1]));
    let mut pauses = Vec::new();
    while pause(&effects).is_some() {
        let _ = world.machine.on(listed(&[0]));
        let (seconds, again) = rest(&mut world, &effects);
        assert!(again.contains(&restart(Unit::Engine(1))));
        pauses.push(seconds);
        effects = world.machine.on(own_step_ended(1));
    }
    assert_eq!(pauses, [0, 1, 3, 10, 30]);
    let said = "engine 1 was restarted 5 times and ended each time: the job continues without it";
    assert!(effects.contains(&Effect::Say(Level::Warning, said.to_owned())));
    assert_eq!(world.machine.state(), State::Degraded);
    let last = world.machine.on(killed(&[0]));
    assert!(pause(&last).is_some(), "the other has its own count");
}

#[test]
fn not_all_engines_of_a_large_step_come_back_at_once() {
    let mut services = services(1, Name::Engines);
    services[1].ready = Readiness::Engines {
        expected: 40,
        minimum: 1,
        step: true,
        world: false,
    };
    let all: Vec<u32> = (0..40).collect();
    let mut machine = Machine::new(&services, Duration::from_secs(9)).replacing_engines(true);
    let ready = Event::Ready {
        service: Name::Controller,
        detail: String::new(),
    };
    for event in [Event::Begin, ready, listed(&all)] {
        let _ = machine.on(event);
    }
    let ended = machine.on(first_step_ended(""));
    let _ = machine.on(listed(&[]));
    let replaced = |effects: &[Effect]| -> Vec<u32> {
        let id = |effect: &Effect| match effect {
            Effect::Start { unit, .. } => unit.engine(),
            _ => None,
        };
        effects.iter().filter_map(id).collect()
    };
    let mut started = Vec::new();
    for effect in ended {
        if let Effect::SetTimer(
            timer @ Timer::Stage {
                stage: Stage::Resting,
                ..
            },
            _,
        ) = effect
        {
            started.extend(replaced(&machine.on(Event::TimeUp(timer))));
        }
    }
    assert_eq!(started, all[..16]);
    let next = replaced(&machine.on(listed(&[0, 1])));
    assert_eq!(next, [16, 17], "as many as have come");
    let failed = machine.on(own_step_ended(2));
    assert_eq!(replaced(&failed), [18], "and as many as have ended again");
}

#[test]
fn every_order_of_events_with_steps_of_one_engine_keeps_the_rules() {
    let (states, _) = orders::walk(world(), depth() - 1);
    assert!(states > 1_000, "only {states} states");
    let mut replaced = world();
    let said = replaced.clone().machine.on(killed(&[1]));
    let (timer, _) = pause(&said).expect("a pause");
    replaced.hear(killed(&[1]));
    replaced.hear(listed(&[0]));
    replaced.hear(Event::TimeUp(timer));
    assert!(replaced.alive.contains(&Unit::Engine(1)));
    let (states, _) = orders::walk(replaced, depth() - 2);
    assert!(states > 1_000, "only {states} states");
}

#[test]
fn a_node_on_which_slurm_makes_no_step_is_told_once_and_asked_no_more() {
    let mut world = world();
    for rank in 0..2 {
        let _ = world.machine.on(Event::Placed(Report {
            rank,
            node: "node2".to_owned(),
            pid: 7,
            step: Some("4.0".to_owned()),
            memory: None,
            share: Share::default(),
        }));
    }
    let ends = world.machine.on(killed(&[0, 1]));
    let _ = world.machine.on(listed(&[]));
    let timers: Vec<Timer> = ends
        .iter()
        .filter_map(|effect| match effect {
            Effect::SetTimer(
                timer @ Timer::Stage {
                    stage: Stage::Resting,
                    ..
                },
                _,
            ) => Some(*timer),
            _ => None,
        })
        .collect();
    for timer in timers {
        let _ = world.machine.on(Event::TimeUp(timer));
    }
    let words = "srun: error: Unable to create step for job 1: Requested node configuration is not available";
    let mut said = 0;
    for engine in 0..2 {
        let event = exited(Unit::Engine(engine), Exit::Code(1), &[words]);
        let effects = world.machine.on(event);
        let warns = |effect: &&Effect| matches!(effect, Effect::Say(Level::Warning, _));
        said += effects.iter().filter(warns).count();
        let again = |effect: &Effect| {
            matches!(
                effect,
                Effect::SetTimer(
                    Timer::Stage {
                        stage: Stage::Resting,
                        ..
                    },
                    _
                )
            )
        };
        assert!(!effects.iter().any(again), "{effects:?}");
    }
    assert_eq!(said, 1);
    let _ = world.machine.on(Event::Taken(Taken::Not));
    let reason = world.machine.reason().expect("no engine is left");
    assert!(
        reason.contains("Slurm no longer starts steps on node2"),
        "{reason}"
    );
}

#[test]
fn an_engine_that_never_told_its_node_is_given_up_as_well_where_slurm_makes_no_step() {
    let mut world = world();
    let ends = world.machine.on(killed(&[1]));
    let _ = world.machine.on(listed(&[0]));
    let (_, again) = rest(&mut world, &ends);
    assert!(again.contains(&restart(Unit::Engine(1))));
    let words = "srun: error: Unable to create step for job 1: Requested node configuration is not available";
    let ended = exited(Unit::Engine(1), Exit::Code(1), &[words]);
    let effects = world.machine.on(ended);
    let told = super::ends::said(&effects);
    let names = told
        .iter()
        .any(|line| line.contains("on its node") && line.contains("engine 1 cannot be restarted"));
    assert!(names, "{told:?}");
    assert_eq!(world.machine.stage(Unit::Engine(1)), Stage::Ended);
    assert_eq!(world.machine.missing_engines(), [1]);
    assert_eq!(world.machine.reason(), None);
}

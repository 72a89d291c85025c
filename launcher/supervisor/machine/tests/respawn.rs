//! Engines that are started again.

use super::*;
use crate::plan::task_lines::{Report, Words};

fn world() -> World {
    let mut world = up(2, Name::Jupyter);
    world.machine = world.machine.replacing_engines(true);
    world
}

fn ended(engine: u32) -> Event {
    exited(process(Name::Engines, engine), Exit::Code(1), &[])
}

/// The timer of the pause before the next start, and its seconds.
pub(super) fn pause(effects: &[Effect]) -> Option<(Timer, u64)> {
    effects.iter().find_map(|effect| match effect {
        Effect::SetTimer(
            timer @ Timer::Stage {
                stage: Stage::Resting,
                ..
            },
            pause,
        ) => Some((*timer, pause.as_secs())),
        _ => None,
    })
}

#[test]
fn an_engine_is_started_again_once_the_hub_has_dropped_its_id() {
    let mut world = world();
    let (timer, _) = pause(&world.machine.on(ended(1))).expect("a pause");
    assert_eq!(world.machine.missing_engines(), [1]);
    let again = world.machine.on(Event::TimeUp(timer));
    assert_eq!(again, [], "the hub would give it another id");
    let again = world.machine.on(listed(&[0]));
    assert!(again.contains(&restart(Unit::Engine(1))));
    assert_eq!(world.machine.state(), State::Degraded);
    let _ = world.machine.on(listed(&[0, 1]));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn late_words_of_srun_are_not_told_of_the_engine_that_came_in_its_place() {
    let mut world = world();
    let place = |pid| {
        Event::Placed(Report {
            rank: 1,
            node: "node1".to_owned(),
            pid,
            step: None,
            memory: None,
        })
    };
    let _ = world.machine.on(place(100));
    let (timer, _) = pause(&world.machine.on(ended(1))).expect("a pause");
    let _ = world.machine.on(listed(&[0]));
    let _ = world.machine.on(Event::TimeUp(timer));
    let _ = world.machine.on(place(200));
    let _ = world.machine.on(listed(&[0, 1]));
    let words = Words::new("srun: error: node1: task 1: Out Of Memory", vec![1]);
    let told = format!("{:?}", world.machine.on(Event::SrunSaid(words)));
    assert!(
        told.contains("engine 1, before it was started again: out of memory"),
        "{told}"
    );
    assert!(!told.contains("200"), "{told}");
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn an_engine_that_ends_again_and_again_is_left_out_by_name() {
    let mut world = world();
    let mut pauses = Vec::new();
    let last = loop {
        let effects = world.machine.on(ended(1));
        let Some((timer, seconds)) = pause(&effects) else {
            break effects;
        };
        pauses.push(seconds);
        let _ = world.machine.on(listed(&[0]));
        let again = world.machine.on(Event::TimeUp(timer));
        assert!(again.contains(&restart(Unit::Engine(1))));
        let _ = world.machine.on(listed(&[0, 1]));
    };
    assert_eq!(pauses, [0, 1, 3, 10, 30]);
    let said = "engine 1 was started again 5 times and ended each time: the job goes on without it";
    assert!(last.contains(&Effect::Say(Level::Warning, said.to_owned())));
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn the_end_of_all_engines_at_once_does_not_end_the_job() {
    let mut world = world();
    let first = world.machine.on(ended(0));
    let second = world.machine.on(ended(1));
    assert_eq!(world.machine.reason(), None);
    let _ = world.machine.on(listed(&[]));
    for effects in [first, second] {
        let (timer, _) = pause(&effects).expect("a pause");
        let _ = world.machine.on(Event::TimeUp(timer));
    }
    let _ = world.machine.on(listed(&[0, 1]));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn a_frozen_engine_is_killed_and_replaced_and_one_that_arrives_is_not() {
    let mut world = world();
    let _ = world.machine.on(listed(&[0]));
    let kill = Effect::Kill(process(Name::Engines, 1));
    assert!(
        world
            .machine
            .on(Event::TimeUp(Timer::Dropped))
            .contains(&kill)
    );
    let (timer, _) = pause(&world.machine.on(ended(1))).expect("a pause");
    assert!(
        world
            .machine
            .on(Event::TimeUp(timer))
            .contains(&restart(Unit::Engine(1)))
    );
    let dropped = world.machine.on(Event::TimeUp(Timer::Dropped));
    assert_eq!(dropped, [], "it is on its way");
    let unit = Unit::Engine(1);
    let look = world.machine.on(late(unit, 1));
    assert_eq!(look, [look_at(unit, 1)]);
    let effects = world.machine.on(progress(unit, 1, Some("it works")));
    let again = Effect::SetTimer(start_limit(unit, 1), Duration::from_secs(10));
    assert!(effects.contains(&again), "{effects:?}");
    let effects = world.machine.on(progress(unit, 1, None));
    assert!(effects.contains(&kill), "it never came");
}

#[test]
fn every_order_of_events_with_engines_that_are_replaced_keeps_the_rules() {
    let (states, _) = orders::walk(world(), depth() - 2);
    assert!(states > 1_000, "only {states} states");
}

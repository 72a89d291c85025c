//! What a client ends.

use super::lasting::{answers, asked, engine_ended, hear, job, said};
use super::*;
use crate::supervisor::event::Level;

#[test]
fn a_client_ends_a_cluster_with_code_0() {
    let mut world = job(Name::Controller);
    let _ = hear(&mut world, [asked(Asked::Hub)]);
    assert_eq!(world.machine.reason(), Some("shut down by a client"));

    let mut engines = job(Name::Controller);
    let asks = [0, 1].map(|id| asked(Asked::Engine(id)));
    let _ = hear(&mut engines, asks);
    let effects = hear(&mut engines, [engine_ended(1), engine_ended(0)]);
    assert_eq!(
        engines.machine.reason(),
        Some("the engines were shut down by a client")
    );
    let warned = |effect: &Effect| matches!(effect, Effect::Say(Level::Warning, _));
    assert!(!effects.iter().any(warned), "{effects:?}");
    let end = end_of(engines, orderly_end(Name::Controller).split_off(4));
    assert_eq!((end.code, end.failure), (0, None));

    // Of a step srun tells it, or the hub's list.
    for lost in [killed(&[0, 1]), listed(&[])] {
        let mut step = job(Name::Engines);
        let asks = [0, 1].map(|id| asked(Asked::Engine(id)));
        let _ = hear(&mut step, asks);
        let _ = hear(&mut step, [lost]);
        assert_eq!(
            step.machine.reason(),
            Some("the engines were shut down by a client")
        );
    }
}

#[test]
fn a_death_beside_a_clients_wish_is_still_a_death() {
    let mut world = job(Name::Controller);
    let _ = hear(
        &mut world,
        [asked(Asked::Engine(1)), engine_ended(1), engine_ended(0)],
    );
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.starts_with("the last engine ended"), "{reason}");
    // A job whose driver has not begun does not end well, whoever asked for its end.
    let mut early = World::new(ENGINES, Name::Driver);
    let died = exited(process(Name::Controller, 0), Exit::Code(0), &[]);
    let _ = hear(&mut early, [asked(Asked::Hub), died]);
    assert_eq!(
        early.machine.reason(),
        Some("controller was shut down by a client")
    );
    assert!(matches!(&early.machine.phase, Phase::Stopping { end, .. } if end.code == 3));
}

#[test]
fn a_wish_of_a_client_that_an_engine_outlives_explains_no_later_end() {
    let mut services = services(ENGINES, Name::Engines);
    if let Readiness::Engines { world, .. } = &mut services[1].ready {
        *world = true;
    }
    let mut world = World::of(services);
    let detail = String::new();
    let service = Name::Controller;
    world.hear(Event::Ready { service, detail });
    world.hear(listed(&[0, 1]));
    let mut at_once = world.clone();
    let _ = hear(&mut at_once, [asked(Asked::Engine(0)), killed(&[1])]);
    assert_eq!(
        at_once.machine.reason(),
        Some("the engines were shut down by a client")
    );
    let timer = Event::TimeUp(Timer::Heeded { engine: 0 });
    let _ = hear(
        &mut world,
        [asked(Asked::Engine(0)), timer.clone(), killed(&[1])],
    );
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.contains("cannot go on without it"), "{reason}");
    // One that the hub has let go is on its way.
    let mut single = job(Name::Controller);
    let leaves = [asked(Asked::Engine(0)), listed(&[1]), timer];
    let _ = hear(&mut single, leaves);
    let effects = hear(&mut single, [engine_ended(0)]);
    let text = "engine 0 was shut down by a client; `ipjob restart` starts it again";
    assert!(said(&effects).contains(&text), "{effects:?}");
}

#[test]
fn what_a_client_ended_is_not_respawned_but_comes_back_on_request() {
    let mut world = job(Name::Jupyter);
    world.machine = world.machine.replacing_engines(true);
    let effects = hear(
        &mut world,
        [asked(Asked::Engine(1)), engine_ended(1), listed(&[0])],
    );
    assert_eq!(respawn::pause(&effects), None);
    let text = "engine 1 was shut down by a client; `ipjob restart` starts it again";
    assert!(said(&effects).contains(&text), "{effects:?}");
    let effects = hear(&mut world, [again(false)]);
    assert!(effects.contains(&restart(Unit::Engine(1))));
    let effects = hear(&mut world, [listed(&[0, 1])]);
    assert_eq!(
        answers(&effects),
        [&Answer::Done("2 of 2 engines are there".to_owned())]
    );
    // It is an engine like any other again.
    let effects = hear(&mut world, [engine_ended(1)]);
    assert!(respawn::pause(&effects).is_some());
}

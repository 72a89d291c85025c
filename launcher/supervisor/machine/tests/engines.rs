//! Engines that are lost.

use super::*;

#[test]
fn a_lost_engine_degrades_and_the_last_one_ends_the_job() {
    let mut world = up(2, Name::Controller);
    world.hear(exited(process(Name::Engines, 1), Exit::Code(1), &[]));
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.missing_engines(), [1]);
    world.hear(exited(process(Name::Engines, 0), Exit::Code(1), &[]));
    assert_eq!(world.machine.state(), State::Stopping);
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.starts_with("the last engine ended"), "{reason}");
}

#[test]
fn an_engine_of_somebody_elses_does_not_count() {
    let mut world = World::new(2, Name::Jupyter);
    for service in [Name::Controller, Name::Jupyter] {
        world.hear(Event::Ready {
            service,
            detail: String::new(),
        });
    }
    world.hear(Event::Registered(BTreeSet::from([0, 7])));
    assert_eq!(world.machine.state(), State::Starting);
    assert_eq!(world.machine.missing_engines(), [1]);
    world.hear(Event::Registered(BTreeSet::from([0, 1, 7])));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn an_engine_that_only_the_hub_has_lost_is_named() {
    let mut world = up(2, Name::Jupyter);
    world.hear(Event::Registered(BTreeSet::from([0])));
    assert_eq!(world.machine.state(), State::Degraded);
    let effects = world.machine.on(Event::TimeUp(Timer::Dropped));
    assert!(matches!(
        &effects[0],
        Effect::Say(Level::Warning, text) if text.contains("dropped engine 1 although")
    ));
    assert!(
        !world
            .machine
            .on(Event::TimeUp(Timer::Dropped))
            .iter()
            .any(|effect| matches!(effect, Effect::Say(..))),
        "it is said once"
    );
}

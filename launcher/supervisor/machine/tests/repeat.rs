//! A start that is tried again because a port of the wiring was lost.

use super::*;

#[test]
fn a_lost_port_starts_everything_again_but_not_for_ever() {
    let mut world = World::of(overlapped(2, Name::Jupyter), 1);
    world.hear(port_taken());
    for event in orderly_end(Name::Jupyter) {
        world.hear(event);
    }
    assert!(
        world.ready.is_empty() && !world.alive.is_empty(),
        "{world:?}"
    );
    world.hear(exited(
        process(Name::Controller, 0),
        Exit::Code(1),
        &[IN_USE],
    ));
    assert_eq!(world.machine.state(), State::Stopping);
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.contains("controller (pid 1) ended"), "{reason}");
}

#[test]
fn a_request_to_stop_between_two_tries_ends_the_job() {
    let mut world = World::of(overlapped(2, Name::Jupyter), 1);
    world.hear(port_taken());
    let stop = Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    };
    let mut events = vec![stop];
    events.extend(orderly_end(Name::Jupyter));
    let end = end_of(world, events);
    assert_eq!((end.code, end.reason.as_str()), (0, "SIGTERM"));
}

//! Every order of events, to a depth.

use super::*;
use std::collections::{HashSet, VecDeque};

/// Walks all orders of events to a depth; tells how many states it saw and how many of them were ends.
pub(super) fn walk(world: World, depth: usize) -> (usize, usize) {
    let mut seen = HashSet::from([world.key()]);
    let mut open = VecDeque::from([(world, 0)]);
    let mut ends = 0;
    while let Some((world, steps)) = open.pop_front() {
        ends += usize::from(world.finished);
        world.clone().time_alone_ends_it();
        if steps == depth {
            continue;
        }
        for event in world.possible() {
            let mut next = world.clone();
            next.hear(event);
            if seen.insert(next.key()) {
                open.push_back((next, steps + 1));
            }
        }
    }
    (seen.len(), ends)
}

#[test]
fn every_order_of_events_keeps_the_rules() {
    for (minimum, last) in [
        (ENGINES, Name::Jupyter),
        (1, Name::Jupyter),
        (ENGINES, Name::Driver),
        (1, Name::Engines),
    ] {
        let (states, ends) = walk(World::new(minimum, last), depth());
        assert!(states > 1_000, "only {states} states with {last}");
        assert!(ends > 10, "only {ends} ends with {last}");
    }
}

#[test]
fn every_order_of_events_of_an_overlapped_start_keeps_the_rules() {
    for last in [Name::Jupyter, Name::Driver, Name::Engines] {
        let (states, _) = walk(World::of(overlapped(ENGINES, last)), depth() - 1);
        assert!(states > 1_000, "only {states} states with {last}");
    }
}

#[test]
fn every_order_of_events_after_ready_keeps_the_rules() {
    for last in [Name::Jupyter, Name::Driver, Name::Engines] {
        // What dies here is started again, so that there are many more orders.
        let (states, _) = walk(up(ENGINES, last), depth() - 1);
        assert!(states > 1_000, "only {states} states with {last}");
    }
}

#[test]
fn every_order_of_events_while_files_cannot_be_written_keeps_the_rules() {
    for last in [Name::Jupyter, Name::Engines] {
        let mut world = up(ENGINES, last);
        world.machine = world.machine.replacing_engines(true);
        world.may_be_on_hold = Some(BTreeSet::new());
        world.hear(exited(Unit::Controller, Exit::Code(1), &[]));
        world.hear(Event::Swept(Some(Name::Controller)));
        let (states, _) = walk(world, depth() - 2);
        assert!(states > 1_000, "only {states} states with {last}");
    }
}

#[test]
fn every_order_of_events_of_a_stop_keeps_the_rules() {
    for last in [Name::Jupyter, Name::Driver, Name::Engines] {
        let mut world = up(ENGINES, last);
        world.hear(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        let (_, ends) = walk(world, depth() + 2);
        assert!(ends > 10, "only {ends} ends with {last}");
    }
}

//! The end of a job that nobody uses.

use super::*;

/// A world that is up, with this limit in seconds, after its first look.
fn idle_after(limit: u64, last: Name) -> World {
    let mut world = up(2, last);
    world.machine = world
        .machine
        .ending_when_idle(Some(Duration::from_secs(limit)));
    world.hear(Event::Active);
    world
}

/// Lets so many milliseconds pass without use; how many pass before the next look, and the warning.
fn unused(world: &mut World, millis: u64) -> (Option<u64>, bool) {
    let effects = world
        .machine
        .on(Event::Idle(Duration::from_millis(millis)));
    let next = effects.iter().find_map(|effect| match effect {
        Effect::SetTimer(Timer::Look, after) => u64::try_from(after.as_millis()).ok(),
        _ => None,
    });
    let warned = effects
        .iter()
        .any(|effect| matches!(effect, Effect::Say(Level::Warning, _)));
    (next, warned)
}

#[test]
fn an_idle_job_is_warned_and_ends_in_order() {
    let mut world = idle_after(1800, Name::Jupyter);
    for _ in 0..26 {
        assert_eq!(unused(&mut world, 60_000), (Some(60_000), false));
    }
    // Three minutes before the end.
    assert_eq!(unused(&mut world, 60_000), (Some(60_000), true));
    assert_eq!(unused(&mut world, 60_000), (Some(60_000), false));
    assert_eq!(unused(&mut world, 60_000), (Some(60_000), false));
    let last = Event::Idle(Duration::from_secs(60));
    let end = end_of(world, [vec![last], orderly_end(Name::Jupyter)].concat());
    assert_eq!(end.code, 0);
    assert_eq!(end.failure, None);
    assert!(
        end.reason.starts_with("idle for 30 minutes"),
        "{}",
        end.reason
    );
}

#[test]
fn a_short_limit_is_warned_of_as_well() {
    let mut world = idle_after(2, Name::Engines);
    assert_eq!(unused(&mut world, 1000), (Some(800), false));
    assert_eq!(unused(&mut world, 800), (Some(200), true));
    assert_eq!(unused(&mut world, 200), (None, false));
    assert!(world.machine.reason().is_some());
}

#[test]
fn any_use_begins_the_time_anew() {
    let mut world = idle_after(100, Name::Engines);
    for _ in 0..20 {
        for _ in 0..9 {
            unused(&mut world, 10_000);
        }
        assert_eq!(world.machine.reason(), None);
        world.hear(Event::Active);
    }
    assert_eq!(unused(&mut world, 10_000), (Some(10_000), false));
}

#[test]
fn a_pause_of_ipjob_itself_does_not_count() {
    let mut world = idle_after(100, Name::Engines);
    unused(&mut world, 100_000);
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn a_driver_that_runs_is_use() {
    let mut world = idle_after(100, Name::Driver);
    for _ in 0..20 {
        assert_eq!(unused(&mut world, 10_000), (Some(10_000), false));
    }
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn it_is_looked_only_where_it_was_asked_for() {
    let mut world = up(2, Name::Engines);
    assert_eq!(unused(&mut world, 1_000_000), (None, false));
    assert_eq!(world.machine.reason(), None);
    let rules = services(2, Name::Engines);
    for (limit, looks) in [(None, false), (Some(Duration::from_secs(9)), true)] {
        let mut machine = Machine::new(&rules, Duration::from_secs(9)).ending_when_idle(limit);
        let _ = machine.on(Event::Begin);
        let _ = machine.on(Event::Ready {
            service: Name::Controller,
            detail: String::new(),
        });
        let effects = machine.on(Event::Registered(BTreeSet::from([0, 1])));
        assert_eq!(
            effects.contains(&Effect::Look(Look::Use)),
            looks,
            "{effects:?}"
        );
    }
}

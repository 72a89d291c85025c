//! The end of the job's time.

use super::*;

/// How long the timers run that an event sets.
fn timers(world: &mut World, event: Event) -> Vec<(Timer, u64)> {
    let effects = world.machine.on(event);
    effects
        .into_iter()
        .filter_map(|effect| match effect {
            Effect::SetTimer(timer, after) => Some((timer, after.as_secs())),
            _ => None,
        })
        .collect()
}

#[test]
fn the_stop_begins_before_the_time_limit_and_a_moved_limit_counts() {
    let mut world = up(2, Name::Jupyter);
    let minutes = |minutes: u64| Duration::from_secs(minutes * 60);
    let set = timers(
        &mut world,
        Event::TimeLeft {
            left: minutes(30),
            limit: minutes(30),
        },
    );
    let telling = 1;
    assert_eq!(
        set,
        [
            (
                Timer::Warn {
                    telling,
                    minutes: 10
                },
                20 * 60
            ),
            (
                Timer::Warn {
                    telling,
                    minutes: 5
                },
                25 * 60
            ),
            (Timer::Near { telling }, 29 * 60 - 35),
            (Timer::Deadline { telling }, 29 * 60),
        ]
    );
    // A short limit is cut by a tenth, not by a minute.
    let set = timers(
        &mut world,
        Event::TimeLeft {
            left: minutes(1),
            limit: minutes(1),
        },
    );
    assert_eq!(set.last(), Some(&(Timer::Deadline { telling: 2 }, 54)));
    world.hear(Event::TimeUp(Timer::Deadline { telling: 1 }));
    assert_eq!(
        world.machine.reason(),
        None,
        "an old telling counts no more"
    );
    world.hear(Event::TimeUp(Timer::Deadline { telling: 2 }));
    assert_eq!(world.machine.reason(), Some("the job's time limit"));
}

#[test]
fn slurms_own_signal_near_the_limit_is_the_time_limit() {
    let asked = |world: &mut World| {
        world.hear(Event::StopAsked {
            by: "SIGTERM".to_owned(),
            insists: false,
        });
        world.machine.reason().map(str::to_owned)
    };
    let mut world = up(2, Name::Jupyter);
    assert_eq!(asked(&mut world.clone()).as_deref(), Some("SIGTERM"));
    let left = Duration::from_secs(600);
    world.hear(Event::TimeLeft { left, limit: left });
    world.hear(Event::TimeUp(Timer::Near { telling: 1 }));
    assert_eq!(asked(&mut world).as_deref(), Some("the job's time limit"));
}

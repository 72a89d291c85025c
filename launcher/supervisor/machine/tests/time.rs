//! The end of the job's time.

use super::*;
use crate::plan::share::Share;
use crate::plan::task_lines::Report;

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
    // A job that is taken down for its limit is COMPLETING too.
    world.hear(Event::Taken(Taken::ForGood));
    assert_eq!(world.machine.reason(), Some("the job's time limit"));
}

// The end of a job that nobody uses.

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
    let effects = world.machine.on(Event::Idle(Duration::from_millis(millis)));
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

// A day in which everything is mended again and again: the machine grows by nothing.

/// Rounds of five minutes; each is many times more than ever happens in one.
const ROUNDS: u32 = 24 * 12 * 10;

/// A world in which what is asked for happens at once: timers run out, sweeps find nothing, and what is started comes.
fn let_happen(machine: &mut Machine, event: Event) {
    let mut events = std::collections::VecDeque::from([event]);
    let mut steps = 0;
    while let Some(event) = events.pop_front() {
        steps += 1;
        assert!(steps < 1000, "it does not come to rest");
        for effect in machine.on(event) {
            match effect {
                Effect::SetTimer(timer, _) if mends(timer) => {
                    events.push_back(Event::TimeUp(timer));
                }
                Effect::Sweep { service, .. } => events.push_back(Event::Swept(service)),
                Effect::Start { unit, .. } => events.push_back(match unit {
                    Unit::Engine(_) => Event::Registered(BTreeSet::from([0, 1])),
                    _ => Event::Ready {
                        service: unit.service(),
                        detail: "again".to_owned(),
                    },
                }),
                Effect::Finish(end) => panic!("{end:?}"),
                _ => {}
            }
        }
    }
}

/// Whether a timer is one after which something is mended: the others are limits, which nothing reaches here.
fn mends(timer: Timer) -> bool {
    matches!(
        timer,
        Timer::Stage {
            stage: Stage::Resting | Stage::Ready,
            ..
        } | Timer::Recount { .. }
    )
}

#[test]
fn a_day_of_repairs_leaves_no_trace_in_the_machine() {
    let killed = || Exit::Signal {
        number: 9,
        name: "SIGKILL".to_owned(),
    };
    let mut machine = up(2, Name::Jupyter).machine.replacing_engines(true);
    let mut early = 0;
    for round in 0..ROUNDS {
        let pid = 1000 + round;
        for service in [Name::Controller, Name::Jupyter] {
            let mut end = exited(process(service, 0), killed(), &["a last word"]);
            if let Event::Exited { pid: its, .. } = &mut end {
                *its = pid;
            }
            let_happen(&mut machine, end);
        }
        let_happen(
            &mut machine,
            exited(process(Name::Engines, round % 2), killed(), &[]),
        );
        let_happen(
            &mut machine,
            Event::Registered(BTreeSet::from([1 - round % 2])),
        );
        let_happen(
            &mut machine,
            Event::Registered(BTreeSet::from([0, 1, 2 + round])),
        );
        // A program of the user's prints what looks like a report.
        let_happen(
            &mut machine,
            Event::Placed(Report {
                rank: round,
                node: format!("node{round}"),
                pid,
                step: None,
                memory: None,
                share: Share::default(),
            }),
        );
        let_happen(&mut machine, Event::Active);
        let left = Duration::from_secs(86_400 + u64::from(round));
        let_happen(&mut machine, Event::TimeLeft { left, limit: left });
        assert_eq!(machine.state(), State::Ready, "round {round}");
        // All that it keeps, as text.
        let size = format!("{machine:?}").len();
        if round == 100 {
            early = size;
        }
        assert!(
            round <= 100 || size < early + 100,
            "{early} -> {size} in round {round}: {machine:#?}"
        );
    }
}

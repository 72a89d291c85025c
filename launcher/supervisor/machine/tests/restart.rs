//! Services that are started again, and those that run and lack something.

use super::ends::{SWEPT, hear, job, said};
use super::engines::pause;
use super::*;
use crate::plan::exit::MORE_MEMORY;
use crate::supervisor::event::{Level, OutOfMemory};

const KILLED: fn() -> Exit = || Exit::Signal {
    number: 9,
    name: "SIGKILL".to_owned(),
};

/// Lets a service end and what it left be swept; tells what comes of it.
fn die(world: &mut World, name: Name) -> Vec<Effect> {
    let mut effects = world.machine.on(exited(process(name, 0), KILLED(), &[]));
    effects.extend(world.machine.on(Event::Swept(Some(name))));
    effects
}

fn ready(world: &mut World, service: Name) {
    let detail = String::new();
    let _ = world.machine.on(Event::Ready { service, detail });
}

/// Kills a service as soon as it is ready again, until it is not started any more; tells the pauses before its starts.
fn crash_loop(world: &mut World, name: Name) -> Vec<u64> {
    let mut pauses = Vec::new();
    for _ in 0..20 {
        let mut effects = die(world, name);
        if let Some((timer, pause)) = pause(&effects) {
            pauses.push(pause);
            effects = world.machine.on(Event::TimeUp(timer));
        } else if effects.contains(&restart(name)) {
            pauses.push(0);
        }
        if !effects.contains(&restart(name)) {
            return pauses;
        }
        ready(world, name);
        assert_eq!(world.machine.state(), State::Ready);
    }
    panic!("{name} is started for ever");
}

#[test]
fn a_controller_that_was_short_of_memory_is_started_again_and_says_so() {
    let mut world = up(2, Name::Jupyter);
    let mut event = exited(process(Name::Controller, 0), KILLED(), &["a last word"]);
    if let Event::Exited { memory, .. } = &mut event {
        *memory = Some(OutOfMemory {
            node: "node1".to_owned(),
            limit: Some(1 << 30),
        });
    }
    let effects = world.machine.on(event);
    let found =
        "the kernel's out-of-memory killer ended it on node1, where the memory limit is 1024 MiB";
    for line in [
        format!("controller (pid 1): {found}; {MORE_MEMORY}"),
        format!(
            "controller (pid 1) ended with signal 9 (SIGKILL): {found}; restarting it (1 of 5)"
        ),
    ] {
        assert!(
            effects.contains(&Effect::Say(Level::Warning, line)),
            "{effects:?}"
        );
    }
}

#[test]
fn a_controller_that_dies_again_and_again_ends_the_job_with_the_cause() {
    let mut world = up(2, Name::Controller);
    assert_eq!(crash_loop(&mut world, Name::Controller), [0, 1, 3, 10, 30]);
    assert_eq!(
        world.machine.reason(),
        Some(
            "controller was restarted 5 times and ended each time: controller (pid 1) ended with signal 9 (SIGKILL)"
        )
    );
}

#[test]
fn a_jupyter_that_dies_again_and_again_leaves_the_engines_alone() {
    let mut world = up(2, Name::Jupyter);
    assert_eq!(crash_loop(&mut world, Name::Jupyter), [0, 1, 3, 10, 30]);
    assert_eq!(world.machine.reason(), None);
    assert_eq!(world.machine.state(), State::Degraded);
    let mut controller = world.clone();
    assert!(die(&mut controller, Name::Controller).contains(&restart(Name::Controller)));
    let mut events = vec![Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    }];
    events.extend(orderly_end(Name::Jupyter).split_off(2));
    let end = end_of(world, events);
    assert_eq!((end.code, end.reason.as_str()), (0, "SIGTERM"));
}

#[test]
fn a_jupyter_that_dies_again_and_again_without_a_cluster_ends_the_job() {
    for name in [Name::Engines, Name::Controller] {
        let mut world = up(1, Name::Jupyter);
        if name == Name::Engines {
            for engine in 0..ENGINES {
                let _ = world
                    .machine
                    .on(exited(process(name, engine), KILLED(), &[]));
            }
        } else {
            let _ = crash_loop(&mut world, name);
        }
        assert_eq!(world.machine.reason(), None);
        for _ in 0..5 {
            let effects = die(&mut world, Name::Jupyter);
            if let Some((timer, _)) = pause(&effects) {
                let _ = world.machine.on(Event::TimeUp(timer));
            }
            ready(&mut world, Name::Jupyter);
        }
        let _ = die(&mut world, Name::Jupyter);
        let text = "jupyter was restarted 5 times and ended each time: jupyter (pid 1) ended with signal 9 (SIGKILL)";
        assert_eq!(world.machine.reason(), Some(text));
    }
}

#[test]
fn a_healthy_time_gives_restarts_back() {
    let mut world = up(2, Name::Jupyter);
    for generation in 1..20 {
        assert!(die(&mut world, Name::Jupyter).contains(&restart(Name::Jupyter)));
        ready(&mut world, Name::Jupyter);
        let _ = world.machine.on(Event::TimeUp(Timer::Stage {
            unit: Unit::Jupyter,
            generation,
            stage: Stage::Ready,
        }));
    }
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn nothing_is_started_while_a_process_of_the_one_before_lives() {
    let mut world = up(2, Name::Jupyter);
    let broken = Event::Broken {
        service: Name::Controller,
        failure: Failure::service("a scheduler has died"),
    };
    let effects = world.machine.on(broken);
    assert!(effects.contains(&Effect::Kill(Unit::Controller)));
    let swept = Event::Swept(Some(Name::Controller));
    let effects = world.machine.on(swept);
    assert_eq!(effects, [], "its main process has not been waited for");
    assert_eq!(world.machine.state(), State::Degraded);
    let dead = exited(process(Name::Controller, 0), KILLED(), &[]);
    let effects = world.machine.on(dead);
    assert!(effects.contains(&restart(Name::Controller)));
}

#[test]
fn a_jupyter_that_its_user_shut_down_stays_down() {
    let mut world = up(2, Name::Jupyter);
    let shut_down = exited(process(Name::Jupyter, 0), Exit::Code(0), &[]);
    world.hear(shut_down);
    assert_eq!(
        world.machine.reason(),
        Some("jupyter was shut down by its user")
    );
}

#[test]
fn the_hubs_list_is_not_believed_while_the_hub_reads_it() {
    let mut world = up(2, Name::Jupyter);
    let _ = die(&mut world, Name::Controller);
    assert!(!world.machine.believes_the_hub());
    let listed = |ids: &[u32]| Event::Registered(ids.iter().copied().collect());
    let _ = world.machine.on(listed(&[0]));
    assert!(world.machine.missing_engines().is_empty());
    ready(&mut world, Name::Controller);
    let _ = world.machine.on(listed(&[1]));
    assert!(world.machine.missing_engines().is_empty());
    let _ = world
        .machine
        .on(Event::TimeUp(Timer::Recount { generation: 1 }));
    assert_eq!(world.machine.missing_engines(), [0], "now it is believed");
    let _ = world.machine.on(listed(&[0, 1]));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn a_timer_of_an_earlier_start_means_nothing_to_a_later_one() {
    let mut world = up(2, Name::Jupyter);
    let _ = die(&mut world, Name::Jupyter);
    let _ = world.machine.on(late(Unit::Jupyter, 0));
    assert_eq!(world.machine.stage(Name::Jupyter), Stage::Starting);
    let effects = world.machine.on(late(Unit::Jupyter, 1));
    assert_eq!(effects, [look_at(Unit::Jupyter, 1)]);
    let effects = world.machine.on(progress(Unit::Jupyter, 1, None));
    assert!(effects.contains(&Effect::Kill(Unit::Jupyter)), "too late");
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn a_start_that_gets_on_has_up_to_ten_times_its_limit() {
    let mut world = up(2, Name::Jupyter);
    let _ = die(&mut world, Name::Controller);
    let unit = Unit::Controller;
    let mut looks = 0;
    loop {
        let effects = world.machine.on(late(unit, 1));
        assert_eq!(effects, [look_at(unit, 1)]);
        let effects = world.machine.on(progress(unit, 1, Some("it works")));
        let says = "controller is not ready after 5 s, but is making progress: it works; it has up to 50 s";
        let said = effects.contains(&Effect::Say(Level::Warning, says.to_owned()));
        if effects.contains(&Effect::Kill(unit)) {
            break;
        }
        assert_eq!(said, looks == 0, "{effects:?}");
        looks += 1;
    }
    assert_eq!(looks, 5, "5 s, and 10 s each time");
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn what_sigkill_does_not_end_is_waited_for_and_ends_nothing() {
    for name in [Name::Controller, Name::Jupyter] {
        let mut world = up(2, Name::Jupyter);
        let _ = world.machine.on(Event::Broken {
            service: name,
            failure: Failure::service("it is stopped"),
        });
        let timer = Timer::Stage {
            unit: name.into(),
            generation: 1,
            stage: Stage::Clearing,
        };
        let then = "its replacement waits for it to end";
        let says = Effect::Look(Look::Survivors {
            service: Some(name),
            then,
        });
        assert_eq!(world.machine.on(Event::TimeUp(timer)), [says]);
        assert_eq!(world.machine.reason(), None);
        assert_eq!(world.machine.state(), State::Degraded);
        let effects = die(&mut world, name);
        assert!(effects.contains(&restart(name)), "{effects:?}");
    }
}

#[test]
fn every_order_of_events_while_a_service_is_replaced_keeps_the_rules() {
    for name in [Name::Controller, Name::Jupyter] {
        let mut world = up(2, Name::Jupyter);
        for _ in 0..4 {
            world.hear(exited(process(name, 0), KILLED(), &[]));
            world.hear(Event::Swept(Some(name)));
            let pauses: Vec<Timer> = world.timers.iter().copied().collect();
            for timer in pauses {
                if matches!(
                    timer,
                    Timer::Stage {
                        stage: Stage::Resting,
                        ..
                    }
                ) {
                    world.hear(Event::TimeUp(timer));
                }
            }
        }
        let (states, _) = orders::walk(world, depth() - 2);
        assert!(states > 1_000, "only {states} states with {name}");
    }
}

#[test]
fn what_cannot_write_its_log_is_on_hold_which_costs_no_try_and_hinders_no_stop() {
    let mut world = up(2, Name::Jupyter);
    world.machine = world.machine.replacing_engines(true);
    let mut effects = die(&mut world, Name::Jupyter);
    let said_once = "the disk is full; restarts are on hold until the file system recovers";
    for round in 0..9 {
        assert!(effects.contains(&restart(Name::Jupyter)), "{effects:?}");
        let effects_of_hold = hear(&mut world, [on_hold(Unit::Jupyter)]);
        let told = said(&effects_of_hold).contains(&said_once);
        assert_eq!(told, round == 0, "{effects_of_hold:?}");
        let (timer, after) = pause(&effects_of_hold).expect("a pause");
        assert_eq!(after, 1);
        effects = hear(&mut world, [Event::TimeUp(timer)]);
    }
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(
        world.machine.life(Name::Jupyter).map(|life| life.attempts),
        Some(1)
    );
    let mut stopped = world.clone();
    let stop = Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    };
    let effects = hear(&mut stopped, [stop, on_hold(Unit::Jupyter)]);
    assert!(
        effects
            .iter()
            .any(|effect| matches!(effect, Effect::Sweep { .. })),
        "{effects:?}"
    );
    ready(&mut world, Name::Jupyter);
    assert_eq!(world.machine.state(), State::Ready);
    // An engine is on hold by the same means, and what is said of it is news again.
    let lost = exited(process(Name::Engines, 1), KILLED(), &[]);
    let effects = hear(&mut world, [lost, listed(&[0])]);
    let (timer, _) = pause(&effects).expect("a pause");
    let effects = hear(&mut world, [Event::TimeUp(timer)]);
    assert!(effects.contains(&restart(Unit::Engine(1))), "{effects:?}");
    let effects = hear(&mut world, [on_hold(Unit::Engine(1))]);
    assert!(said(&effects).contains(&said_once), "{effects:?}");
    assert_eq!(world.machine.engines.living(), 1);
    let (timer, _) = pause(&effects).expect("a pause");
    let effects = hear(&mut world, [Event::TimeUp(timer)]);
    assert!(effects.contains(&restart(Unit::Engine(1))), "{effects:?}");
}

// Services that run and lack something.

fn lacks(service: Name, what: &str) -> Event {
    Event::Lacks {
        service,
        what: what.to_owned(),
    }
}

fn hindered(what: &str) -> Event {
    Event::Hindered {
        service: Name::Jupyter,
        what: what.to_owned(),
    }
}

fn unhindered(detail: &str) -> Event {
    Event::Unhindered {
        service: Name::Jupyter,
        detail: detail.to_owned(),
    }
}

fn jupyter_ready() -> Event {
    Event::Ready {
        service: Name::Jupyter,
        detail: String::new(),
    }
}

#[test]
fn a_ready_service_that_lacks_something_degrades_the_job_until_it_is_ready_again() {
    let mut world = job(Name::Jupyter);
    assert_eq!(world.machine.state(), State::Ready);
    let effects = hear(&mut world, [hindered("8 of 8 descriptors in use")]);
    let told = "jupyter: 8 of 8 descriptors in use; the job is degraded until that is over";
    assert_eq!(said(&effects), [told]);
    assert_eq!(world.machine.state(), State::Degraded);
    let what = world.machine.hindered(Name::Jupyter);
    assert_eq!(what, Some("8 of 8 descriptors in use"));
    let over = || unhindered("(2 of 8)");
    let effects = hear(&mut world, [jupyter_ready(), over(), over()]);
    assert_eq!(said(&effects), ["jupyter ready again (2 of 8)"]);
    assert_eq!(world.machine.state(), State::Ready);
    assert!(world.machine.hindered(Name::Jupyter).is_none());
}

#[test]
fn what_a_service_lacked_before_it_was_ready_or_ended_does_not_stay() {
    let mut world = job(Name::Jupyter);
    let _ = hear(
        &mut world,
        [
            hindered("8 of 8 descriptors in use"),
            exited(process(Name::Jupyter, 0), Exit::Code(1), &[]),
            SWEPT(Name::Jupyter),
        ],
    );
    assert!(world.machine.hindered(Name::Jupyter).is_none());
    let late = [
        lacks(Name::Jupyter, "GET is not answered"),
        hindered("8 of 8 descriptors in use"),
        unhindered("(what was short has ended)"),
    ];
    let effects = hear(&mut world, late);
    assert!(said(&effects).is_empty(), "it starts");
    assert_ne!(world.machine.state(), State::Ready, "of the one before");
    let _ = hear(&mut world, [jupyter_ready()]);
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn what_a_probe_of_the_start_misses_later_hinders_nothing() {
    let mut world = job(Name::Jupyter);
    for service in [Name::Controller, Name::Engines, Name::Jupyter] {
        let effects = hear(
            &mut world,
            [lacks(service, "nothing was heard from rank 3")],
        );
        assert!(effects.is_empty(), "{effects:?}");
        assert!(world.machine.hindered(service).is_none());
    }
    assert_eq!(world.machine.state(), State::Ready);
}

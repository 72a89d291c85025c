//! How the job ends, with which code, and who may end it.

use super::*;
use crate::supervisor::event::Level;

#[test]
fn exit_codes_follow_the_table() {
    let stop = Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    };
    let mut events = vec![stop];
    events.extend(orderly_end(Name::Jupyter));
    let end = end_of(up(2, Name::Jupyter), events);
    assert_eq!((end.code, end.reason.as_str()), (0, "SIGTERM"));

    let end = end_of(up(2, Name::Jupyter), orderly_end(Name::Jupyter));
    assert_eq!(
        (end.code, end.reason.as_str()),
        (0, "jupyter was shut down by its user")
    );

    let mut crash = orderly_end(Name::Jupyter).split_off(4);
    for (index, code) in [(1, 6), (0, 5)] {
        let process = process(Name::Engines, index);
        crash.insert(0, exited(process, Exit::Code(code), &[]));
    }
    let end = end_of(up(2, Name::Controller), crash);
    assert_eq!(
        (end.code, end.reason.as_str()),
        (
            1,
            "the last engine ended: engine 1 (pid 1) ended with exit code 6"
        )
    );

    let mut driver = orderly_end(Name::Driver);
    driver[0] = exited(process(Name::Driver, 0), Exit::Code(3), &[]);
    let end = end_of(up(2, Name::Driver), driver);
    assert_eq!((end.code, end.failure), (3, None));
}

#[test]
fn a_driver_that_a_signal_cut_off_tells_the_code_and_the_signal_the_reason() {
    let stop = |by: &str| Event::StopAsked {
        by: by.to_owned(),
        insists: false,
    };
    let mut cut = orderly_end(Name::Driver);
    cut[0] = exited(process(Name::Driver, 0), Exit::Code(5), &[]);
    cut.insert(0, stop("SIGINT"));
    let end = end_of(up(2, Name::Driver), cut.clone());
    assert_eq!((end.code, end.reason.as_str()), (5, "SIGINT"));

    let mut in_time = orderly_end(Name::Driver);
    in_time.insert(0, stop("SIGTERM"));
    assert_eq!(end_of(up(2, Name::Driver), in_time).code, 0);

    // The end of the job's time is another matter, whatever the driver made of it.
    let time = Duration::from_secs(100);
    let told = Event::TimeLeft {
        left: time,
        limit: time,
    };
    cut[0] = Event::TimeUp(Timer::Deadline { telling: 1 });
    cut.insert(0, told);
    let end = end_of(up(2, Name::Driver), cut);
    assert_eq!((end.code, end.reason.as_str()), (7, "the job's time limit"));
}

#[test]
fn the_limit_of_the_start_counts_from_the_start_of_ipjob() {
    let limit = Duration::from_secs(9);
    for (gone, left) in [(0, 9), (4, 5), (20, 0)] {
        let mut machine = Machine::new(&services(2, Name::Engines), limit)
            .begun_before(Duration::from_secs(gone));
        let timer = Effect::SetTimer(Timer::Start, Duration::from_secs(left));
        assert!(machine.on(Event::Begin).contains(&timer), "{gone}");
    }
}

#[test]
fn an_import_error_before_ready_is_something_missing() {
    let tail = [
        "Traceback (most recent call last):",
        "ModuleNotFoundError: No module named 'ipyparallel'",
    ];
    let end = end_of(
        World::new(2, Name::Engines),
        vec![
            exited(process(Name::Controller, 0), Exit::Code(1), &tail),
            Event::Swept(Some(Name::Controller)),
            Event::Swept(None),
        ],
    );
    assert_eq!(end.code, 4);
    assert_eq!(
        end.failure.and_then(|failure| failure.cause).as_deref(),
        Some("ModuleNotFoundError: No module named 'ipyparallel'")
    );
}

// Who may end the job, and what a client or the user asks for.

const KILLED: fn() -> Exit = || Exit::Signal {
    number: 9,
    name: "SIGKILL".to_owned(),
};

pub(super) const SWEPT: fn(Name) -> Event = |name| Event::Swept(Some(name));

/// A job that is up, with engines that can be started again in any way that fits.
pub(super) fn job(last: Name) -> World {
    let mut world = up(ENGINES, last);
    let together = world.machine.engines.step;
    world.machine = world.machine.starting_again(Startable {
        each: true,
        together,
    });
    world
}

pub(super) fn engine_ended(engine: u32) -> Event {
    exited(process(Name::Engines, engine), Exit::Code(1), &[])
}

pub(super) fn asked(whom: Asked) -> Event {
    Event::ClientAsked(whom)
}

/// The lines that are said.
pub(super) fn said(effects: &[Effect]) -> Vec<&str> {
    let mut lines = Vec::new();
    for effect in effects {
        if let Effect::Say(_, text) = effect {
            lines.push(text.as_str());
        }
    }
    lines
}

pub(super) fn answers(effects: &[Effect]) -> Vec<&Answer> {
    let mut answers = Vec::new();
    for effect in effects {
        if let Effect::Answer { answer, .. } = effect {
            answers.push(answer);
        }
    }
    answers
}

/// Lets events happen; tells what comes of them.
pub(super) fn hear(world: &mut World, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
    events
        .into_iter()
        .flat_map(|event| world.machine.on(event))
        .collect()
}

#[test]
fn no_end_of_engines_or_controller_ends_a_driver_and_its_code_is_the_jobs() {
    let mut world = job(Name::Driver);
    let effects = hear(&mut world, [engine_ended(0), engine_ended(1)]);
    let text = "the last engine ended: engine 1 (pid 1) ended with exit code 1; driver continues without engines; `ipjob restart` restarts them";
    let once = |effects: &[Effect]| {
        said(effects)
            .iter()
            .filter(|line| line.contains("continues without engines"))
            .count()
    };
    assert!(said(&effects).contains(&text), "{effects:?}");
    assert_eq!(once(&effects), 1);
    assert_eq!(world.machine.state(), State::Degraded);
    let _ = hear(
        &mut world,
        [
            SWEPT(Name::Engines),
            asked(Asked::Hub),
            exited(process(Name::Controller, 0), Exit::Code(0), &[]),
            SWEPT(Name::Controller),
        ],
    );
    assert_eq!(world.machine.reason(), None);
    let driver = exited(process(Name::Driver, 0), Exit::Code(5), &[]);
    let end = end_of(world, vec![driver, SWEPT(Name::Driver), Event::Swept(None)]);
    assert_eq!(
        (end.code, end.reason.as_str()),
        (5, "driver ended with exit code 5")
    );
}

#[test]
fn a_world_that_loses_a_rank_leaves_jupyter_alone() {
    let mut services = services(ENGINES, Name::Jupyter);
    if let Readiness::Engines { step, world, .. } = &mut services[1].ready {
        (*step, *world) = (true, true);
    }
    services[1].processes.truncate(1);
    let mut world = World::of(services);
    for service in [Name::Controller, Name::Jupyter] {
        let detail = String::new();
        world.hear(Event::Ready { service, detail });
    }
    world.hear(listed(&[0, 1]));
    world.machine = world.machine.starting_again(Startable {
        each: false,
        together: true,
    });
    let effects = hear(&mut world, [killed(&[1]), Event::Taken(Taken::Not)]);
    let line = said(&effects).last().copied().unwrap_or_default();
    assert!(line.contains("jupyter continues without engines"), "{line}");
    assert_eq!(world.machine.reason(), None);
    assert_eq!(world.machine.missing_engines(), [0, 1]);
    // What is left of it is killed: it waits for the lost rank.
    let effects = hear(
        &mut world,
        [Event::TimeUp(Timer::Stage {
            unit: Unit::EngineGroup,
            generation: 1,
            stage: Stage::Draining,
        })],
    );
    assert!(
        effects.contains(&Effect::EndSteps) && effects.contains(&Effect::Kill(Unit::EngineGroup))
    );
    let srun = exited(Unit::EngineGroup, KILLED(), &[]);
    let _ = hear(&mut world, [srun, SWEPT(Name::Engines), listed(&[])]);
    let effects = hear(&mut world, [again(false)]);
    assert!(effects.contains(&restart(Name::Engines)));
    let effects = hear(&mut world, [listed(&[0, 1])]);
    assert_eq!(
        answers(&effects),
        [&Answer::Done("2 of 2 engines are running".to_owned())]
    );
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn a_step_that_the_hub_alone_misses_is_left_alone_beside_jupyter_and_told_as_dropped() {
    let dropped = Event::TimeUp(Timer::Dropped);
    let mut services = services(ENGINES, Name::Jupyter);
    if let Readiness::Engines { step, .. } = &mut services[1].ready {
        *step = true;
    }
    services[1].processes.truncate(1);
    let mut world = World::of(services);
    for service in [Name::Controller, Name::Jupyter] {
        let detail = String::new();
        world.hear(Event::Ready { service, detail });
    }
    world.hear(listed(&[0, 1]));
    let effects = hear(&mut world, [listed(&[1]), listed(&[]), dropped.clone()]);
    let line = said(&effects).last().copied().unwrap_or_default();
    let text = "the hub has dropped engine 1, and nothing reported an end: nothing is ended";
    assert!(line.starts_with(text), "{line}");
    let kills = |effect: &Effect| {
        let nannies = matches!(
            effect,
            Effect::SetTimer(
                Timer::Stage {
                    stage: Stage::Draining,
                    ..
                },
                _
            )
        );
        nannies || matches!(effect, Effect::Kill(_) | Effect::EndSteps)
    };
    assert!(!effects.iter().any(kills), "{effects:?}");
    assert_eq!(world.machine.state(), State::Degraded);
    orders::walk(world.clone(), depth() - 3);
    let ended = exited(Unit::EngineGroup, KILLED(), &[]);
    let effects = hear(&mut world, [ended, Event::Taken(Taken::Not)]);
    let line = said(&effects).last().copied().unwrap_or_default();
    assert!(line.contains("jupyter continues without engines"), "{line}");

    let mut alone = job(Name::Engines);
    let _ = hear(&mut alone, [listed(&[])]);
    assert_eq!(alone.machine.reason(), None, "srun may tell more");
    let mut told = alone.clone();
    let _ = hear(&mut alone, [dropped, Event::Taken(Taken::Not)]);
    let reason = alone.machine.reason().unwrap_or_default();
    let text = "the hub has dropped the last engine, and nothing reported its end";
    assert_eq!(reason, text);
    let _ = hear(&mut told, [killed(&[0, 1]), Event::Taken(Taken::Not)]);
    let reason = told.machine.reason().unwrap_or_default();
    assert!(reason.starts_with("the last engine ended"), "{reason}");
}

#[test]
fn a_controller_that_is_given_up_leaves_jupyter_alone_and_comes_back_on_request() {
    let mut world = job(Name::Jupyter);
    let life = world.machine.life_mut(Name::Controller).expect("planned");
    life.attempts = 5;
    let died = exited(process(Name::Controller, 0), KILLED(), &[]);
    let effects = hear(&mut world, [died, SWEPT(Name::Controller)]);
    assert!(
        said(&effects)
            .iter()
            .any(|line| line.contains("jupyter continues without a controller")),
        "{effects:?}"
    );
    assert_eq!(world.machine.state(), State::Degraded);
    let effects = hear(&mut world, [again(false)]);
    assert!(effects.contains(&restart(Name::Controller)));
    assert_eq!(answers(&effects), [&Answer::Running]);
    let detail = String::new();
    let service = Name::Controller;
    let effects = hear(
        &mut world,
        [
            Event::Ready { service, detail },
            Event::TimeUp(Timer::Recount { generation: 2 }),
        ],
    );
    assert_eq!(answers(&effects).len(), 1, "{effects:?}");
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn engines_that_were_not_to_be_respawned_are_started_on_request_alone() {
    let mut world = job(Name::Jupyter);
    let _ = hear(&mut world, [engine_ended(1), listed(&[0])]);
    let effects = hear(&mut world, [again(false)]);
    assert!(
        effects.contains(&restart(Unit::Engine(1))) && !effects.contains(&restart(Unit::Engine(0)))
    );
    // It dies at once: the request fails with the cause, and nothing tries again.
    let effects = hear(&mut world, [engine_ended(1)]);
    assert!(
        matches!(answers(&effects)[..], [Answer::Failed(text)] if text.contains("1 of 2 engines are running: engine 1 (pid 1) ended with exit code 1")),
        "{effects:?}"
    );
    // All of them anew: those that live are killed first.
    let effects = hear(&mut world, [again(true)]);
    let kill = Effect::Kill(process(Name::Engines, 0));
    assert!(effects.contains(&kill) && effects.contains(&restart(Unit::Engine(1))));
    let effects = hear(&mut world, [listed(&[0, 1]), engine_ended(0)]);
    assert!(
        !effects.contains(&restart(Unit::Engine(0))),
        "the hub knows it yet"
    );
    let effects = hear(&mut world, [listed(&[1])]);
    assert!(effects.contains(&restart(Unit::Engine(0))));
    let effects = hear(&mut world, [listed(&[0, 1])]);
    assert_eq!(answers(&effects).len(), 1);
}

#[test]
fn a_request_that_nothing_can_be_done_about_says_why() {
    let mut ranks = up(ENGINES, Name::Jupyter);
    let _ = hear(&mut ranks, [engine_ended(1)]);
    let effects = hear(&mut ranks, [again(false)]);
    assert!(
        matches!(answers(&effects)[..], [Answer::Failed(text)] if text.contains("started ipjob itself")),
        "{effects:?}"
    );
    let mut early = World::new(ENGINES, Name::Jupyter);
    let effects = hear(&mut early, [again(false)]);
    assert!(matches!(answers(&effects)[..], [Answer::Failed(_)]));
    let mut well = job(Name::Jupyter);
    let effects = hear(&mut well, [again(false)]);
    assert!(matches!(
        answers(&effects)[..],
        [Answer::Running, Answer::Done(_)]
    ));
}

#[test]
fn every_order_of_events_with_clients_and_requests_keeps_the_rules() {
    for last in [Name::Jupyter, Name::Driver, Name::Engines, Name::Controller] {
        for each in [false, true] {
            let mut world = job(last);
            world.machine = world.machine.replacing_engines(each);
            world.ended_by_client = Some(BTreeSet::new());
            let (states, _) = orders::walk(world, depth() - 2);
            assert!(states > 500, "only {states} states with {last}");
        }
    }
    let mut set = job(Name::Engines);
    set.machine = set.machine.restarting_the_set(true);
    set.ended_by_client = Some(BTreeSet::new());
    orders::walk(set, depth() - 2);
}

#[test]
fn every_order_of_events_of_a_jupyter_without_engines_keeps_the_rules() {
    let mut world = job(Name::Jupyter);
    world.ended_by_client = Some(BTreeSet::new());
    for event in [engine_ended(0), engine_ended(1)] {
        world.hear(event);
    }
    orders::walk(world.clone(), depth() - 2);
    world.hear(SWEPT(Name::Engines));
    world.hear(listed(&[]));
    orders::walk(world.clone(), depth() - 2);
    world.hear(again(false));
    let (states, _) = orders::walk(world, depth() - 2);
    assert!(states > 500, "only {states} states");
}

// What a client ends.

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
    let timer = Event::TimeUp(Timer::Heeded {
        engine: 0,
        generation: 0,
    });
    let _ = hear(
        &mut world,
        [asked(Asked::Engine(0)), timer.clone(), killed(&[1])],
    );
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.contains("cannot continue without it"), "{reason}");
    // One that the hub has let go is on its way.
    let mut single = job(Name::Controller);
    let leaves = [asked(Asked::Engine(0)), listed(&[1]), timer];
    let _ = hear(&mut single, leaves);
    let effects = hear(&mut single, [engine_ended(0)]);
    let text = "engine 0 was shut down by a client; `ipjob restart` restarts it";
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
    assert_eq!(engines::pause(&effects), None);
    let text = "engine 1 was shut down by a client; `ipjob restart` restarts it";
    assert!(said(&effects).contains(&text), "{effects:?}");
    let effects = hear(&mut world, [again(false)]);
    assert!(effects.contains(&restart(Unit::Engine(1))));
    let effects = hear(&mut world, [listed(&[0, 1])]);
    assert_eq!(
        answers(&effects),
        [&Answer::Done("2 of 2 engines are running".to_owned())]
    );
    // It is an engine like any other again.
    let effects = hear(&mut world, [engine_ended(1)]);
    assert!(engines::pause(&effects).is_some());
}

// Engines that others added.

#[test]
fn guests_keep_the_cluster_and_when_they_leave_it_ends_as_the_last_of_ours_did() {
    let mut world = job(Name::Engines);
    let effects = hear(&mut world, [listed(&[0, 1, 2, 5])]);
    let come = "2 engines that others added work with this cluster";
    assert_eq!(said(&effects), [come]);
    assert_eq!(world.machine.guests(), 2);
    assert_eq!(world.machine.state(), State::Ready);
    let effects = hear(
        &mut world,
        [
            exited(Unit::EngineGroup, Exit::Code(1), &[]),
            Event::Taken(Taken::Not),
        ],
    );
    let line =
        "; the cluster stays up for 2 engines that others added, and continues without engines";
    let told = said(&effects);
    assert!(told.iter().any(|text| text.contains(line)), "{told:?}");
    assert_eq!(world.machine.state(), State::Degraded);
    let _ = hear(&mut world, [SWEPT(Name::Engines), listed(&[5])]);
    assert_eq!(world.machine.reason(), None);
    let effects = hear(&mut world, [listed(&[])]);
    assert!(said(&effects).contains(&"the engines that others added have left"));
    let reason = world.machine.reason().unwrap_or_default();
    assert!(reason.contains("ended with exit code 1"), "{reason}");
    assert_eq!(world.machine.state(), State::Stopping);
}

//! Engines that are lost, and those that are started again.

use super::ends::{hear, said};
use super::*;
use crate::plan::share::Share;
use crate::plan::task_lines::{Report, Words};
use crate::supervisor::machine::gone::{Action, Noticed, Policy, action};

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

// Every row of the table of ends, by name: what it says, and that a machine with this policy does it.

const POLICIES: [(&str, Policy); 6] = [
    ("go on", Policy::GoOn),
    ("one by one", Policy::OneByOne),
    ("again", Policy::Again),
    ("respawn", Policy::Respawn),
    ("restart", Policy::Restart),
    ("fatal", Policy::Fatal),
];

const NOTICED: [(&str, Noticed); 11] = [
    ("own process", Noticed::OwnProcess),
    ("group process", Noticed::GroupProcess),
    ("no group process", Noticed::NoGroupProcess),
    ("node refused", Noticed::NodeRefused),
    ("srun's words", Noticed::SrunsWords),
    ("unlisted", Noticed::Unlisted),
    ("last unlisted", Noticed::LastUnlisted),
    ("silent tasks", Noticed::SilentTasks),
    ("silent processes", Noticed::SilentProcesses),
    ("spared tasks", Noticed::SparedTasks),
    ("spared processes", Noticed::SparedProcesses),
];

/// The table once more, as a person reads it: a row for each way of noticing, a column for each policy.
const TABLE: &str = "
own process      | lose      lose      start     respawn   end all   end world
group process    | ask Slurm lose      start     respawn   ask Slurm ask Slurm
no group process | lose      lose      start     respawn   end all   end world
node refused     | lose      lose      lose      lose      end all   end world
srun's words     | lose      lose      start     respawn   ask Slurm end world
unlisted         | lose      lose      start     respawn   wait      end world
last unlisted    | wait      wait      wait      respawn   wait      wait
silent tasks     | ask Slurm ask Slurm ask Slurm ask Slurm end all   ask Slurm
silent processes | drop      drop      kill      kill      drop      end world
spared tasks     | spare     spare     spare     spare     spare     spare
spared processes | drop      drop      kill      kill      drop      spare
";

fn word(action: Action) -> &'static str {
    match action {
        Action::Lose => "lose",
        Action::Start => "start",
        Action::Respawn => "respawn",
        Action::Wait => "wait",
        Action::Drop => "drop",
        Action::Spare => "spare",
        Action::Kill => "kill",
        Action::EndAll => "end all",
        Action::AskSlurm => "ask Slurm",
        Action::EndWorld => "end world",
    }
}

/// A step that is up, whose engines have this policy.
fn world(policy: Policy) -> World {
    let mut services = services(1, Name::Engines);
    if let Readiness::Engines { world, .. } = &mut services[1].ready {
        *world = policy == Policy::Fatal;
    }
    let mut world = World::of(services);
    let detail = String::new();
    let service = Name::Controller;
    world.hear(Event::Ready { service, detail });
    world.hear(listed(&[0, 1]));
    let machine = world.machine.starting_again(Startable {
        each: true,
        together: true,
    });
    world.machine = machine
        .replacing_engines(policy == Policy::Respawn)
        .restarting_the_set(policy == Policy::Restart);
    if matches!(policy, Policy::OneByOne | Policy::Again) {
        // Engine 1 has come back because somebody asked for it.
        let _ = hear(
            &mut world,
            [killed(&[1]), listed(&[0]), again(false), listed(&[0, 1])],
        );
    }
    if policy == Policy::Again {
        let mut effects = Vec::new();
        world.machine.start_each(&[1], &mut effects);
        assert_eq!(effects, [Effect::Kill(Unit::Engine(1))]);
    }
    assert_eq!(world.machine.state(), State::Ready);
    assert_eq!(world.machine.policy(Unit::Engine(1)), policy);
    world
}

/// Whether a machine did that of which engine 1 was told to be gone.
fn did(action: Action, machine: &Machine, effects: &[Effect]) -> bool {
    let engine = machine.engines.get(1).expect("ours");
    let told = |text: &str| said(effects).iter().any(|line| line.contains(text));
    let goes_on = machine.reason().is_none() && machine.stage(Name::Engines) == Stage::Ready;
    let only = |effect: Effect| effects == [effect];
    match action {
        Action::Lose => goes_on && engine.lost && !engine.is_on_its_way(),
        Action::Start => goes_on && engine.lost && engine.life.stage == Stage::Due,
        Action::Respawn => {
            let rests = engine.life.stage == Stage::Resting;
            goes_on && engine.lost && rests && told("restarting engine")
        }
        Action::Wait => {
            let timer = Effect::SetTimer(Timer::Dropped, DROP_PATIENCE);
            goes_on && !engine.lost && engine.missed && only(timer)
        }
        Action::Drop => {
            goes_on && !engine.lost && engine.dropped && told("will not register again")
        }
        Action::Spare => goes_on && !engine.lost && engine.dropped && told("nothing is ended"),
        Action::Kill => goes_on && effects.contains(&Effect::Kill(Unit::Engine(1))),
        Action::EndAll => {
            machine.reason().is_none() && machine.stage(Name::Engines) == Stage::Draining
        }
        Action::AskSlurm => goes_on && effects.first() == Some(&Effect::Look(Look::Preemption)),
        Action::EndWorld => machine
            .reason()
            .is_some_and(|text| text.contains("cannot continue without it")),
    }
}

#[test]
fn every_row_of_the_table_of_ends_is_done_as_it_is_written() {
    let mut written = TABLE.trim().lines();
    for (how, noticed) in NOTICED {
        let (row, columns) = written
            .next()
            .and_then(|line| line.split_once('|'))
            .expect("a row");
        assert_eq!(row.trim(), how);
        for (column, (name, policy)) in POLICIES.into_iter().enumerate() {
            let action = action(noticed, policy);
            let from = (1 + column * 10).min(columns.len());
            let to = (from + 10).min(columns.len());
            assert_eq!(columns[from..to].trim(), word(action), "{how} with {name}");
            let mut world = world(policy);
            let mut effects = Vec::new();
            let end = Failure::service("it is gone");
            world.machine.gone(&[1], noticed, end, &mut effects);
            assert!(
                did(action, &world.machine, &effects),
                "{how} with {name}: {action:?} {effects:?} {:?}",
                world.machine.engines
            );
        }
    }
}

#[test]
fn what_a_client_ended_is_no_failure_in_any_row() {
    for (how, noticed) in NOTICED {
        for (name, policy) in POLICIES {
            let mut world = world(policy);
            let asks = [0, 1].map(|id| Event::ClientAsked(Asked::Engine(id)));
            let _ = hear(&mut world, asks);
            let mut effects = Vec::new();
            let end = Failure::service("it is gone");
            world.machine.gone(&[0, 1], noticed, end, &mut effects);
            let reason = world.machine.reason();
            assert!(
                reason.is_none_or(|text| text == "the engines were shut down by a client"),
                "{how} with {name}: {reason:?}"
            );
            assert_ne!(
                world.machine.stage(Name::Engines),
                Stage::Draining,
                "{how} with {name}"
            );
        }
    }
}

#[test]
fn ranks_that_wait_for_one_that_the_hub_has_dropped_are_killed_whoever_asked_for_an_end() {
    let mut services = services(ENGINES, Name::Controller);
    if let Readiness::Engines { world, .. } = &mut services[1].ready {
        *world = true;
    }
    let mut world = World::of(services);
    let detail = String::new();
    let service = Name::Controller;
    world.hear(Event::Ready { service, detail });
    world.hear(listed(&[0, 1]));
    for by_client in [false, true] {
        let mut world = world.clone();
        if by_client {
            let _ = hear(&mut world, [Event::ClientAsked(Asked::Engine(1))]);
        }
        let dropped = Event::TimeUp(Timer::Dropped);
        let effects = hear(&mut world, [listed(&[1]), dropped]);
        let told = said(&effects).contains(&"engine 0 left the hub's list");
        assert!(told, "{effects:?}");
        let shown = effects.contains(&Effect::ShowLog(Unit::Engine(0)));
        assert_eq!(shown, !by_client, "{effects:?}");
        let reason = world.machine.reason().expect("it ends");
        assert_eq!(
            reason == "the engines were shut down by a client",
            by_client
        );
        assert!(effects.contains(&Effect::Kill(Unit::EngineGroup)));
        let asks = |effect: &Effect| matches!(effect, Effect::Ask(_));
        assert!(!effects.iter().any(asks), "{effects:?}");
    }
}

// Engines that are started again.

fn respawning() -> World {
    let mut world = up(2, Name::Jupyter);
    world.machine = world.machine.replacing_engines(true);
    world
}

fn ended(engine: u32) -> Event {
    exited(process(Name::Engines, engine), Exit::Code(1), &[])
}

#[test]
fn that_slurm_ends_the_job_begins_the_stop_where_it_was_asked_why_engines_ended() {
    let mut world = respawning();
    // Asked for the end of the job's time: engines live, and Slurm's signal will tell who ends them.
    assert_eq!(world.machine.on(Event::Cancelled), []);
    assert_eq!(world.machine.reason(), None);
    let _ = world.machine.on(ended(1));
    let _ = world.machine.on(Event::Taken(Taken::ForGood));
    assert_eq!(world.machine.reason(), Some("Slurm ends the job"));
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
    let mut world = respawning();
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
    let mut world = respawning();
    let place = |pid| {
        Event::Placed(Report {
            rank: 1,
            node: "node1".to_owned(),
            pid,
            step: None,
            memory: None,
            share: Share::default(),
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
        told.contains(
            "engine 1 (before it was restarted) ended after Slurm counted an out-of-memory kill"
        ),
        "{told}"
    );
    assert!(!told.contains("200"), "{told}");
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn an_engine_that_ends_again_and_again_is_left_out_by_name() {
    let mut world = respawning();
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
    let said = "engine 1 was restarted 5 times and ended each time: the job continues without it";
    assert!(last.contains(&Effect::Say(Level::Warning, said.to_owned())));
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.reason(), None);
}

#[test]
fn the_end_of_all_engines_at_once_does_not_end_the_job() {
    let mut world = respawning();
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
    let mut world = respawning();
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
    let (states, _) = orders::walk(respawning(), depth() - 2);
    assert!(states > 1_000, "only {states} states");
}

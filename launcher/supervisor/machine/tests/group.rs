//! Engines that are one MPI world and start again together.

use super::engines::pause;
use super::*;
use crate::plan::share::Share;
use crate::plan::task_lines::{Report, World as Seen};
use crate::supervisor::event::Level;

fn world() -> World {
    let mut world = up(ENGINES, Name::Engines);
    world.machine = world.machine.restarting_the_set(true);
    world
}

fn ended(words: &str) -> Event {
    exited(Unit::EngineGroup, Exit::Code(137), &[words])
}

/// The engines' srun ended, and Slurm has no other job for the nodes.
fn end_of_its_own(world: &mut World, words: &str) {
    let _ = world.machine.on(ended(words));
    let _ = world.machine.on(Event::Taken(Taken::Not));
}

const SWEPT: Event = Event::Swept(Some(Name::Engines));

const NANNIES: Event = Event::TimeUp(Timer::Stage {
    unit: Unit::EngineGroup,
    generation: 1,
    stage: Stage::Draining,
});

/// What the end of a set comes with.
const ENDED: Effect = Effect::SetTimer(
    Timer::Stage {
        unit: Unit::EngineGroup,
        generation: 1,
        stage: Stage::Draining,
    },
    Duration::from_secs(1),
);

const AGAIN: Effect = Effect::Start {
    unit: Unit::EngineGroup,
    again: true,
};

#[test]
fn a_set_starts_again_once_its_step_is_gone_and_the_hub_has_dropped_its_ids() {
    let mut world = world();
    let lost = world.machine.on(killed(&[1]));
    assert!(lost.contains(&Effect::Look(Look::Preemption)));
    let lost = world.machine.on(Event::Taken(Taken::Not));
    assert!(lost.contains(&ENDED) && !lost.contains(&Effect::EndSteps));
    let lost = world.machine.on(NANNIES);
    assert!(lost.contains(&Effect::EndSteps));
    assert!(
        lost.contains(&Effect::Kill(Unit::EngineGroup)),
        "MPI waits for the lost one"
    );
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.missing_engines(), [0, 1]);
    let _ = world.machine.on(SWEPT);
    let gone = world.machine.on(ended(""));
    assert!(!gone.contains(&AGAIN), "the hub would give other ids");
    assert!(!world.machine.on(listed(&[0])).contains(&AGAIN));
    assert!(
        world.machine.on(listed(&[7])).contains(&AGAIN),
        "another's engine is not ours"
    );
    assert_eq!(world.machine.missing_engines(), [0, 1]);
    let _ = world.machine.on(listed(&[0, 1, 7]));
    assert_eq!(world.machine.state(), State::Ready);
}

#[test]
fn a_rank_that_the_hub_has_dropped_is_the_end_of_the_set() {
    let mut world = world();
    let dropped = world.machine.on(listed(&[0]));
    assert!(!dropped.contains(&ENDED), "srun may be about to tell more");
    let end = world.machine.on(Event::TimeUp(Timer::Dropped));
    assert!(end.contains(&ENDED));
    let again = world.machine.on(Event::TimeUp(Timer::Dropped));
    assert_eq!(again, [], "it is on its way");
}

/// A world that starts again by itself because nobody said otherwise.
fn by_default() -> World {
    let mut world = world();
    let ways = Startable {
        each: false,
        together: true,
    };
    let machine = world.machine.starting_again(ways);
    world.machine = machine.sparing_the_silent(true);
    world
}

#[test]
fn a_world_that_nobody_asked_to_start_again_outlives_the_hubs_silence_and_no_end() {
    let mut world = by_default();
    for rank in 0..ENGINES {
        let _ = world.machine.on(Event::Placed(Report {
            rank,
            node: format!("node{rank}"),
            pid: 7,
            step: None,
            memory: None,
            share: Share::default(),
        }));
    }
    let _ = world.machine.on(listed(&[0]));
    let effects = world.machine.on(Event::TimeUp(Timer::Dropped));
    let text = "the hub has dropped engine 1 (rank 1 on node1, pid 7), and nothing reported an end: nothing is ended, and a dropped engine never registers again; `ipjob restart --all` kills all engines and starts them again";
    let warned = Effect::Say(Level::Warning, text.to_owned());
    assert!(effects.contains(&warned), "{effects:?}");
    assert!(!effects.contains(&ENDED));
    assert_eq!(world.machine.state(), State::Degraded);
    assert_eq!(world.machine.missing_engines(), [1]);
    assert_eq!(world.machine.on(Event::TimeUp(Timer::Dropped)), []);
    // Its user has the last word, and so have srun and Slurm.
    assert!(world.clone().machine.on(again(true)).contains(&ENDED));
    let node = "srun: error: Node failure on node1";
    let node = Event::SrunSaid(Words::read(node).expect("srun's"));
    for end in [killed(&[1]), ended(""), node] {
        let mut world = world.clone();
        let _ = world.machine.on(end);
        assert!(world.machine.on(Event::Taken(Taken::Not)).contains(&ENDED));
    }
}

#[test]
fn a_set_that_ends_again_and_again_ends_the_job() {
    let mut world = world();
    let mut pauses = Vec::new();
    loop {
        end_of_its_own(&mut world, "srun: error: node2: task 1: Killed");
        if world.machine.reason().is_some() {
            break;
        }
        let _ = world.machine.on(listed(&[]));
        let mut effects = world.machine.on(SWEPT);
        if let Some((timer, seconds)) = pause(&effects) {
            pauses.push(seconds);
            effects = world.machine.on(Event::TimeUp(timer));
        }
        assert!(effects.contains(&AGAIN), "{effects:?}");
        let _ = world.machine.on(listed(&[0, 1]));
        assert_eq!(world.machine.state(), State::Ready);
    }
    assert_eq!(pauses, [1, 3, 10, 30], "after none");
    let reason = world.machine.reason().unwrap_or_default();
    assert!(
        reason.starts_with("the engines were restarted 5 times"),
        "{reason}"
    );
}

#[test]
fn each_set_is_to_see_the_same_world() {
    let wanted = WantedWorld {
        size: ENGINES,
        required: true,
        otherwise: "--mpi pmix made no common MPI world".to_owned(),
        hints: Vec::new(),
    };
    let mut world = up(ENGINES, Name::Engines);
    let machine = world.machine.expecting_a_world(Some(wanted));
    world.machine = machine.restarting_the_set(true);
    let _ = world.machine.on(Event::World(Seen {
        task: 0,
        size: ENGINES,
    }));
    end_of_its_own(&mut world, "");
    let _ = world.machine.on(listed(&[]));
    assert!(world.machine.on(SWEPT).contains(&AGAIN));
    let _ = world.machine.on(Event::World(Seen { task: 1, size: 1 }));
    let reason = world.machine.reason().unwrap_or_default();
    assert!(
        reason.contains("that of engine 1 has a size of 1, not 2"),
        "{reason}"
    );
}

#[test]
fn a_set_that_slurm_takes_down_with_the_job_waits_for_the_signal() {
    let mut world = world();
    let said = world
        .machine
        .on(ended("srun: error: node2: tasks 0-1: Terminated"));
    assert!(!said.contains(&ENDED));
    assert!(said.contains(&Effect::SetTimer(
        Timer::JobEnds { generation: 0 },
        SIGNAL_PATIENCE
    )));
    let mut stopped = world.clone();
    stopped.hear(Event::StopAsked {
        by: "SIGTERM".to_owned(),
        insists: false,
    });
    assert_eq!(stopped.machine.reason(), Some("SIGTERM"));
    // None has come: somebody meant the step alone.
    assert!(
        world
            .machine
            .on(Event::TimeUp(Timer::JobEnds { generation: 0 }))
            .contains(&ENDED)
    );
}

#[test]
fn a_hub_that_never_drops_the_ids_ends_the_job() {
    let mut world = world();
    end_of_its_own(&mut world, "");
    let waits = world.machine.on(SWEPT);
    let forgotten = Timer::Stage {
        unit: Unit::EngineGroup,
        generation: 1,
        stage: Stage::Due,
    };
    assert!(
        waits
            .iter()
            .any(|effect| matches!(effect, Effect::SetTimer(timer, _) if *timer == forgotten))
    );
    let _ = world.machine.on(Event::TimeUp(forgotten));
    let reason = world.machine.reason().unwrap_or_default();
    let text = "the hub still lists engines 0, 1, 180 s after";
    assert!(reason.starts_with(text), "{reason}");
}

#[test]
fn every_order_of_events_with_sets_keeps_the_rules() {
    let (states, _) = orders::walk(world(), depth() - 1);
    assert!(states > 1_000, "only {states} states");
    let (states, _) = orders::walk(by_default(), depth() - 2);
    assert!(states > 200, "only {states} states");
    let mut resting = world();
    for event in [
        ended(""),
        Event::Taken(Taken::Not),
        listed(&[0]),
        NANNIES,
        SWEPT,
    ] {
        resting.hear(event);
    }
    let (states, _) = orders::walk(resting.clone(), depth() - 1);
    assert!(states > 1_000, "only {states} states");
    resting.hear(listed(&[]));
    assert!(resting.alive.contains(&Unit::EngineGroup));
    orders::walk(resting, depth() - 2);
}

#[test]
fn a_set_waits_for_no_nannies_where_the_hub_hears_of_its_end() {
    let mut world = world();
    let _ = world.machine.on(Event::HubHears);
    let _ = world.machine.on(killed(&[1]));
    let lost = world.machine.on(Event::Taken(Taken::Not));
    let Effect::SetTimer(timer, _) = ENDED else {
        unreachable!("it is one");
    };
    assert!(lost.contains(&Effect::SetTimer(timer, Duration::ZERO)));
}

#[test]
fn engines_of_a_set_that_starts_again_live_as_their_group_does() {
    let mut world = world();
    for event in [
        killed(&[1]),
        Event::Taken(Taken::Not),
        NANNIES,
        SWEPT,
        ended(""),
    ] {
        let _ = world.machine.on(event);
    }
    let _ = world.machine.engines.list(&BTreeSet::new());
    let engine = world.machine.engines.get_mut(1).expect("ours");
    (engine.life.stage, engine.life.generation) = (Stage::Ended, 3);
    let mut effects = Vec::new();
    world.machine.start_the_set(&mut effects);
    assert!(effects.contains(&AGAIN), "{effects:?}");
    let life = world.machine.life(Unit::Engine(1)).expect("ours");
    assert_eq!((life.stage, life.generation), (Stage::Waiting, 3));
}

//! A day in which everything is mended again and again: the machine grows by nothing.

use super::*;
use crate::plan::task_lines::Report;

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

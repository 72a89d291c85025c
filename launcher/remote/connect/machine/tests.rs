use super::*;
use crate::remote::connect::endpoints::{ClientFile, Page};
use crate::remote::connect::event::Phase;

fn machine(chosen: Option<Way>) -> Machine {
    Machine::new("7 on daint".to_owned(), Some("daint".to_owned()), chosen)
}

fn reach(node: &str, port: u16) -> Reach {
    let address = "10.0.0.11".parse().expect("an address");
    let client = format!(
        r#"{{"interface":"tcp://10.0.0.11","registration":{},"key":"k"}}"#,
        port + 1
    );
    Reach {
        node: node.to_owned(),
        page: Page::new(address, port, "/lab", "t").ok(),
        client: ClientFile::read(&client, None).expect("a client file"),
    }
}

fn seen(life: &str, phase: Phase, reach: Option<Reach>) -> Event {
    Event::Seen(Box::new(Seen {
        life: life.to_owned(),
        phase,
        progress: "engines 1/2".to_owned(),
        reason: Some("SIGTERM".to_owned()),
        exit: Some(0),
        updated: 1000,
        scheduled: true,
        reach,
    }))
}

fn lost(line: &str) -> Event {
    Event::LinkEnded(Words {
        lines: vec![line.to_owned()],
        code: Some(255),
    })
}

/// Takes events in order; all effects.
fn take(machine: &mut Machine, events: impl IntoIterator<Item = Event>) -> Vec<Effect> {
    events
        .into_iter()
        .flat_map(|event| machine.on(event))
        .collect()
}

/// A machine whose tunnel is up.
fn up(chosen: Option<Way>) -> Machine {
    let mut machine = machine(chosen);
    let effects = take(
        &mut machine,
        [
            Event::Begin,
            Event::Opened,
            seen("a", Phase::Ready, Some(reach("n1", 8000))),
            Event::Bridged(Ok(())),
            Event::Tried(Ok(())),
        ],
    );
    assert!(
        matches!(effects.last(), Some(Effect::Announce { again: false, .. })),
        "{effects:?}"
    );
    machine
}

fn logins(effects: &[Effect]) -> Vec<bool> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::OpenLink { may_ask } => Some(*may_ask),
            _ => None,
        })
        .collect()
}

fn ways(effects: &[Effect]) -> Vec<(Way, u16)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Bridge { way, reach, .. } => Some((*way, reach.first()?.port)),
            _ => None,
        })
        .collect()
}

fn end(effects: &[Effect]) -> Option<&Result<(), Failure>> {
    effects.iter().find_map(|effect| match effect {
        Effect::Finish(outcome) => Some(outcome),
        _ => None,
    })
}

fn failure(effects: &[Effect]) -> &Failure {
    end(effects)
        .and_then(|outcome| outcome.as_ref().err())
        .expect("a failure")
}

#[test]
fn a_job_that_is_ready_is_reached_from_the_login_node() {
    let mut machine = machine(None);
    assert_eq!(logins(&machine.on(Event::Begin)), [true]);
    assert_eq!(machine.on(Event::Opened), []);
    let effects = machine.on(seen("a", Phase::Ready, Some(reach("n1", 8000))));
    assert_eq!(ways(&effects), [(Way::Forward, 8000)]);
    // Told again, nothing is done again.
    assert_eq!(
        machine.on(seen("a", Phase::Ready, Some(reach("n1", 8000)))),
        []
    );
}

#[test]
fn a_job_that_waits_or_starts_shows_how_far_it_is_once() {
    let mut machine = machine(None);
    take(&mut machine, [Event::Begin, Event::Opened]);
    let waits = Event::Queued(Queued::Waiting("the job is pending (Priority)".to_owned()));
    let effects = take(
        &mut machine,
        [waits.clone(), Event::Absent, waits, Event::Absent],
    );
    assert_eq!(
        effects,
        [Effect::Progress("the job is pending (Priority)".to_owned())]
    );
    let effects = take(
        &mut machine,
        [
            Event::Queued(Queued::Running(900)),
            seen("a", Phase::Starting, None),
        ],
    );
    assert!(
        matches!(effects.last(), Some(Effect::Progress(text)) if text.contains("engines 1/2")),
        "{effects:?}"
    );
}

#[test]
fn where_the_login_node_reaches_nothing_ssh_goes_on_to_the_node() {
    let mut machine = machine(None);
    take(
        &mut machine,
        [
            Event::Begin,
            Event::Opened,
            seen("a", Phase::Ready, Some(reach("n1", 8000))),
        ],
    );
    let effects = take(
        &mut machine,
        [
            Event::Bridged(Ok(())),
            Event::Tried(Err("open failed: x".to_owned().into())),
        ],
    );
    assert!(effects.contains(&Effect::Unbridge(Way::Forward)));
    assert_eq!(ways(&effects), [(Way::Jump, 8000)]);
    let effects = machine.on(Event::BridgeEnded("Permission denied".to_owned()));
    let failure = failure(&effects);
    assert_eq!(failure.exit_code(), 6);
    let cause = failure.cause.as_deref().unwrap_or_default();
    assert!(
        cause.contains("open failed: x") && cause.contains("Permission denied"),
        "{cause}"
    );
}

#[test]
fn a_way_that_was_chosen_is_the_only_one() {
    let mut machine = machine(Some(Way::Forward));
    let effects = take(
        &mut machine,
        [
            Event::Begin,
            Event::Opened,
            seen("a", Phase::Ready, Some(reach("n1", 8000))),
            Event::Bridged(Err("refused".to_owned().into())),
        ],
    );
    assert_eq!(ways(&effects).len(), 1);
    assert_eq!(failure(&effects).exit_code(), 6);
}

#[test]
fn a_first_login_that_fails_is_the_end_and_a_lost_connection_never_is() {
    let mut first = machine(None);
    first.on(Event::Begin);
    let effects = first.on(lost(
        "ssh: connect to host daint port 22: Connection refused",
    ));
    assert_eq!(failure(&effects).exit_code(), 6);

    let mut machine = up(None);
    let effects = machine.on(lost("Timeout, server daint not responding."));
    assert!(end(&effects).is_none(), "{effects:?}");
    assert!(effects.contains(&Effect::SetTimer(Timer::Login, FIRST_PAUSE)));
    for _ in 0..200 {
        let effects = machine.on(Event::TimeUp(Timer::Login));
        // No login after the first may ask for a secret.
        assert_eq!(logins(&effects), [false]);
        let effects = machine.on(lost("ssh: connect to host daint port 22: No route to host"));
        assert!(end(&effects).is_none());
        assert!(
            matches!(effects.as_slice(), [Effect::SetTimer(Timer::Login, pause)] if *pause <= LONGEST_PAUSE),
            "{effects:?}"
        );
    }
}

#[test]
fn a_remote_end_that_opens_and_ends_is_asked_less_and_less_often_and_told_of_once() {
    let mut machine = up(Some(Way::Srun));
    let mut pauses = Vec::new();
    let mut warnings = 0;
    for _ in 0..5 {
        let effects = take(
            &mut machine,
            [
                seen("a", Phase::Ready, Some(reach("n1", 8000))),
                Event::Bridged(Err("srun: error: x".to_owned().into())),
                lost("srun: error: x"),
                Event::TimeUp(Timer::Login),
                Event::Opened,
            ],
        );
        assert!(end(&effects).is_none(), "{effects:?}");
        for effect in effects {
            match effect {
                Effect::SetTimer(Timer::Login, pause) => pauses.push(pause.as_secs()),
                Effect::Say(Level::Warning, _) => warnings += 1,
                _ => {}
            }
        }
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16]);
    assert_eq!(warnings, 1);
    // Once a service has answered, a lost connection is a new one.
    let effects = take(
        &mut machine,
        [
            seen("a", Phase::Ready, Some(reach("n1", 8000))),
            Event::Bridged(Ok(())),
            Event::Tried(Ok(())),
            lost("Connection reset"),
        ],
    );
    assert!(effects.contains(&Effect::SetTimer(Timer::Login, FIRST_PAUSE)));
}

#[test]
fn a_login_that_is_refused_later_is_the_end_with_what_to_do() {
    let mut machine = up(None);
    take(
        &mut machine,
        [lost("Connection reset"), Event::TimeUp(Timer::Login)],
    );
    let effects = machine.on(lost(
        "me@daint: Permission denied (publickey,keyboard-interactive).",
    ));
    let failure = failure(&effects);
    assert_eq!(failure.exit_code(), 6);
    assert!(
        failure.hints.iter().any(|hint| hint.contains("again")),
        "{failure:?}"
    );
}

#[test]
fn after_a_lost_connection_the_same_way_is_taken() {
    let mut machine = up(Some(Way::Jump));
    let effects = take(
        &mut machine,
        [
            lost("Connection reset"),
            Event::BridgeEnded("the first ssh is gone".to_owned()),
            Event::TimeUp(Timer::Login),
            Event::Opened,
            seen("a", Phase::Ready, Some(reach("n1", 8000))),
            Event::Bridged(Ok(())),
            Event::Tried(Ok(())),
        ],
    );
    assert_eq!(ways(&effects), [(Way::Jump, 8000)]);
    let said: Vec<_> = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Say(..)))
        .collect();
    // That it is lost, and that it is there again: each once.
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::Announce { .. }))
    );
    assert!(
        machine
            .bridge
            .is_some_and(|bridge| bridge.stage == Stage::Up)
    );
}

#[test]
fn a_later_life_gets_a_new_tunnel() {
    let mut machine = up(None);
    let effects = machine.on(seen("b", Phase::Ready, Some(reach("n2", 9000))));
    assert_eq!(effects.first(), Some(&Effect::Unbridge(Way::Forward)));
    assert_eq!(ways(&effects), [(Way::Forward, 9000)]);
    let effects = take(&mut machine, [Event::Bridged(Ok(())), Event::Tried(Ok(()))]);
    let announced = Effect::Announce {
        reach: Box::new(reach("n2", 9000)),
        again: true,
    };
    assert_eq!(effects.last(), Some(&announced));
}

#[test]
fn an_ended_record_is_believed_only_with_slurm() {
    for (queued, over) in [
        (Queued::Gone(None), true),
        (Queued::Gone(Some("COMPLETED".to_owned())), true),
        (Queued::Unknown("no answer".to_owned()), true),
        (Queued::NoSlurm, true),
        (Queued::Completing, false),
        (Queued::Waiting("pending (BeginTime)".to_owned()), false),
        // Begun after the record was written: another life.
        (Queued::Running(2000), false),
        (Queued::Running(900), false),
    ] {
        let mut machine = up(None);
        let effects = take(
            &mut machine,
            [seen("a", Phase::Ended, None), Event::Queued(queued.clone())],
        );
        assert!(
            effects.contains(&Effect::Unbridge(Way::Forward)),
            "{queued:?}"
        );
        assert_eq!(end(&effects), over.then_some(&Ok(())), "{queued:?}");
    }
    let mut machine = up(None);
    take(
        &mut machine,
        [
            seen("a", Phase::Ended, None),
            Event::Queued(Queued::Running(900)),
        ],
    );
    let effects = machine.on(Event::TimeUp(Timer::LastWords));
    assert_eq!(
        end(&effects),
        Some(&Ok(())),
        "the script goes on after ipjob"
    );
}

#[test]
fn a_job_that_was_never_reached_and_is_over_is_no_job() {
    for events in [
        vec![
            seen("a", Phase::Ended, None),
            Event::Queued(Queued::Gone(None)),
        ],
        vec![Event::Queued(Queued::Gone(None)), Event::Absent],
        vec![
            Event::Queued(Queued::Gone(None)),
            seen("a", Phase::Ready, None),
            Event::Stale(500),
        ],
    ] {
        let mut machine = machine(None);
        take(&mut machine, [Event::Begin, Event::Opened]);
        let effects = take(&mut machine, events);
        assert_eq!(failure(&effects).exit_code(), 5);
    }
}

#[test]
fn one_look_that_finds_nothing_is_no_end_of_a_job_that_was_used() {
    let refused = || Event::Refused(Failure::new(Kind::NoJob, "no such job".to_owned()));
    let mut first = machine(None);
    take(&mut first, [Event::Begin, Event::Opened]);
    assert_eq!(failure(&first.on(refused())).exit_code(), 5);

    for missing in [
        vec![refused()],
        vec![Event::Queued(Queued::NoSlurm), Event::Absent],
    ] {
        let mut machine = up(None);
        let effects = take(&mut machine, missing.clone());
        assert!(end(&effects).is_none(), "{effects:?}");
        assert!(effects.contains(&Effect::SetTimer(Timer::Doubt, Duration::from_secs(60))));
        machine.on(seen("a", Phase::Ready, Some(reach("n1", 8000))));
        assert_eq!(machine.on(Event::TimeUp(Timer::Doubt)), []);
        take(&mut machine, missing);
        let effects = machine.on(Event::TimeUp(Timer::Doubt));
        assert_eq!(end(&effects), Some(&Ok(())));
    }
}

#[test]
fn a_slurm_that_does_not_answer_is_no_end_and_one_that_is_not_there_is() {
    for (queued, over) in [
        (Queued::Unknown("timed out".to_owned()), false),
        (Queued::NoSlurm, true),
    ] {
        let mut machine = machine(None);
        take(&mut machine, [Event::Begin, Event::Opened]);
        let effects = take(&mut machine, [Event::Absent, Event::Queued(queued)]);
        assert_eq!(end(&effects).is_some(), over, "{effects:?}");
    }
}

#[test]
fn an_old_record_is_no_end_while_slurm_says_that_the_job_runs() {
    let mut machine = up(None);
    let effects = take(
        &mut machine,
        [Event::Queued(Queued::Running(900)), Event::Stale(500)],
    );
    assert!(end(&effects).is_none(), "{effects:?}");
    let effects = machine.on(Event::Queued(Queued::Gone(Some("TIMEOUT".to_owned()))));
    assert_eq!(end(&effects), Some(&Ok(())));
}

#[test]
fn a_record_that_a_clock_made_old_is_no_end_of_a_job_that_was_used() {
    let mut machine = up(None);
    let mut local = seen("a", Phase::Ready, Some(reach("n1", 8000)));
    if let Event::Seen(seen) = &mut local {
        seen.scheduled = false;
    }
    let old = [
        local.clone(),
        Event::Queued(Queued::NoSlurm),
        Event::Stale(3700),
    ];
    let effects = take(&mut machine, old.clone());
    assert!(end(&effects).is_none(), "{effects:?}");
    // It is written again.
    machine.on(local);
    assert_eq!(machine.on(Event::TimeUp(Timer::Doubt)), []);
    take(&mut machine, old);
    let effects = machine.on(Event::TimeUp(Timer::Doubt));
    assert_eq!(end(&effects), Some(&Ok(())));
}

#[test]
fn whoever_asks_for_the_end_gets_it_at_once() {
    let stages: [&[Event]; 4] = [&[], &[Event::Opened], &[Event::Opened, Event::Absent], &[]];
    for stage in stages {
        let mut machine = machine(None);
        machine.on(Event::Begin);
        take(&mut machine, stage.iter().cloned());
        let effects = machine.on(Event::StopAsked("SIGINT".to_owned()));
        assert_eq!(end(&effects), Some(&Ok(())));
    }
    let mut machine = up(None);
    machine.on(lost("x"));
    let effects = machine.on(Event::StopAsked("SIGINT".to_owned()));
    assert_eq!(end(&effects), Some(&Ok(())));
}

/// Every order of these events, to some depth: there is one login at a time, none after the first asks, and an ended machine is not
/// needed for that to hold.
#[test]
fn no_order_of_events_breaks_the_rules() {
    let all = [
        Event::Opened,
        Event::Absent,
        seen("a", Phase::Ready, Some(reach("n1", 8000))),
        seen("b", Phase::Ready, Some(reach("n2", 9000))),
        seen("a", Phase::Ended, None),
        Event::Queued(Queued::Running(900)),
        lost("Connection reset"),
        Event::Bridged(Ok(())),
        Event::Tried(Err("x".to_owned().into())),
        Event::Tried(Ok(())),
        Event::BridgeEnded("x".to_owned()),
        Event::TimeUp(Timer::Login),
    ];
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for _ in 0..4 {
        orders = orders
            .into_iter()
            .flat_map(|order| {
                (0..all.len()).map(move |next| {
                    let mut longer = order.clone();
                    longer.push(next);
                    longer
                })
            })
            .collect();
    }
    for order in orders {
        let mut machine = machine(None);
        let mut open = 0_u32;
        let mut announced: Vec<(Reach, bool)> = Vec::new();
        let mut asked = 0_u32;
        for event in std::iter::once(Event::Begin).chain(order.iter().map(|at| all[*at].clone())) {
            if matches!(event, Event::LinkEnded(_)) {
                open = open.saturating_sub(1);
            }
            let effects = machine.on(event);
            if end(&effects).is_some() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::OpenLink { may_ask } => {
                        open += 1;
                        asked += u32::from(may_ask);
                    }
                    Effect::Announce { reach, again } => announced.push((*reach, again)),
                    _ => {}
                }
            }
            assert!(open <= 1 && asked <= 1, "{order:?}");
            // Each life is announced when it takes another's place, and what is the same is never told twice.
            let told_twice = announced.windows(2).any(|two| two[0].0 == two[1].0);
            let first = announced.iter().position(|(_, again)| *again);
            assert!(!told_twice && first.is_none_or(|at| at == 1), "{order:?}");
        }
    }
}

#[test]
fn a_job_that_was_submitted_and_ends_early_is_no_job_that_was_not_there() {
    for (is_awaited, code) in [(false, 5), (true, 3)] {
        for last in [Event::Absent, seen("a", Phase::Ended, None)] {
            let mut machine = machine(None);
            if is_awaited {
                machine.await_it();
            }
            let gone = Event::Queued(Queued::Gone(Some("FAILED".to_owned())));
            let effects = take(&mut machine, [Event::Begin, Event::Opened, last, gone]);
            assert_eq!(failure(&effects).exit_code(), code, "{effects:?}");
        }
    }
}

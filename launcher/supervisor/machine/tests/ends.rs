//! How the job ends, and with which code.

use super::*;

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

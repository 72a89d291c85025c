//! Engines that cannot start, end at once or never register.

use super::{CLUSTER, LIMIT, start};
use crate::support::{Job, Place};

/// Starts with engines that behave so.
fn with_engines(place: &Place, how: &str, args: &[&str]) -> Job {
    start(place, &[("FAKE_ENGINE", how)], &[CLUSTER, args])
}

/// A start that these engines must spoil; returns all lines.
fn fails(how: &str, args: &[&str], code: i32, parts: &[&str]) -> String {
    let place = Place::with_fakes();
    let mut job = with_engines(&place, how, args);
    let lines = job.fails(code, parts);
    job.assert_nothing_left();
    place.assert_deserted();
    lines
}

/// The job goes on with one engine of two, and ends as asked.
fn goes_on(how: &str, args: &[&str]) -> String {
    let place = Place::with_fakes();
    let mut job = with_engines(&place, how, args);
    let record = job.wait_state(&["degraded"]);
    assert_eq!(record["engines"]["expected"], 2);
    assert_eq!(record["engines"]["registered"], 1);
    assert_eq!(record["engines"]["missing"], serde_json::json!([1]));
    let lines = job.stop();
    place.assert_deserted();
    lines
}

#[test]
fn an_engine_that_lacks_a_package_is_something_missing_here() {
    let parts = [
        "1 of 2 engines are left before the job was ready, and 2 are required",
        "engine 1 (pid ",
        "ModuleNotFoundError: No module named 'numpy_that_is_not_here'",
        "a Python package is missing",
    ];
    fails("import-error:1", &[], 4, &parts);
}

#[test]
fn an_engine_that_exits_is_told_with_its_last_words() {
    let parts = [
        "1 of 2 engines are left before the job was ready, and 2 are required",
        "engine 1 (pid ",
        "exit code 7",
        "the fake engine 1 gives up",
        "--min-engines",
    ];
    let lines = fails("exit:1", &[], 3, &parts);
    assert!(lines.contains("| the fake engine 1 gives up"), "{lines}");
}

#[test]
fn the_last_engine_that_exits_is_told_with_its_last_words() {
    let parts = [
        "the last engine ended",
        "engine 0",
        "the fake engine 0 gives up",
    ];
    let place = Place::with_fakes();
    let args = ["--mode", "cluster-only", "-n", "1"];
    let mut job = start(&place, &[("FAKE_ENGINE", "exit")], &[&args]);
    job.fails(3, &parts);
    job.assert_nothing_left();
    place.assert_deserted();
}

#[test]
fn an_engine_that_never_registers_is_named_when_the_time_is_up() {
    let limit = format!("engines={LIMIT}");
    let parts = [
        "1 of 2 engines registered within 5 s",
        "not registered: engine 1",
        "--min-engines",
    ];
    fails("silent:1", &["--start-timeout", &limit], 3, &parts);
}

#[test]
fn a_partial_start_is_accepted_at_once_when_the_other_engine_is_gone() {
    let lines = goes_on("exit:1", &["--min-engines", "1"]);
    assert!(lines.contains("continuing with 1 of 2 engines, as --min-engines 1 allows"));
    assert!(lines.contains("engine 1 (pid "), "{lines}");
}

#[test]
fn a_partial_start_is_accepted_when_the_time_is_up() {
    let limit = format!("engines={LIMIT}");
    let args = ["--min-engines", "1", "--start-timeout", &limit];
    let lines = goes_on("silent:1", &args);
    assert!(lines.contains("continuing with 1 of 2 engines, as --min-engines 1 allows"));
}

#[test]
fn a_partial_start_with_too_few_is_not_accepted() {
    let parts = ["the last engine ended", "exit code 7"];
    fails("exit", &["--min-engines", "1"], 3, &parts);
}

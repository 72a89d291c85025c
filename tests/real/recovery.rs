//! After a kill -9 of ipjob: everything runs on, and the next ipjob on the profile ends it.

use super::python;
use crate::support::{Job, Place, carriers, venv};
use nix::sys::signal::Signal;

#[test]
fn the_next_ipjob_ends_what_a_killed_one_left_and_becomes_ready() {
    what_a_killed_one_left_is_ended("exec");
}

#[test]
fn the_next_ipjob_ends_forked_engines_that_a_killed_one_left() {
    what_a_killed_one_left_is_ended("fork");
}

fn what_a_killed_one_left_is_ended(way: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "notebook", "-n", "2", "--engine-start", way];
    let mut first = Job::start(&place, &args);
    let record = first.wait_ready();
    let path = first.profile().join("ipjob.json");
    python::run(
        &place,
        &venv,
        "jupyter.py",
        &[path.to_str().expect("text"), "1"],
    );
    first.signal(Signal::SIGKILL);
    first.finish();
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let left = carriers(incarnation);
    // Nine of the controller, two engines, their nannies, Jupyter and its kernel.
    assert!(left.len() >= 15, "{left:?}");

    let mut second = Job::start(&place, &args);
    second.wait_line(&format!(
        "an ipjob that died here (pid {}) left {} processes running: ended",
        first.pid(),
        left.len()
    ));
    assert_eq!(carriers(incarnation), []);
    second.wait_ready();
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], serde_json::json!([0, 1]));
    second.stop();
}

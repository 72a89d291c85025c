//! The hub hears of an engine's end from ipjob, at once, and takes nobody else's word for the end of who came after.

use super::python;
use crate::support::{Job, Place, venv};
use serde_json::json;

#[test]
fn tasks_of_a_dead_engine_fail_at_once_without_a_nanny() {
    tasks_fail_at_once("main", &["--nanny", "off"]);
}

#[test]
fn tasks_of_a_dead_engine_of_ipyparallel_8_8_fail_at_once_without_a_nanny() {
    tasks_fail_at_once("ipp88", &["--nanny", "off"]);
}

#[test]
fn tasks_of_a_dead_forked_engine_with_a_nanny_fail_once() {
    tasks_fail_at_once("main", &["--nanny", "on", "--engine-start", "fork"]);
}

fn tasks_fail_at_once(name: &str, options: &[&str]) {
    let venv = needed!(venv(name));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "3", "--respawn", "engine"];
    let mut job = Job::start(&place, &[&args, options].concat());
    job.wait_ready();
    let found = python::ask(&place, &venv, "ends.py", &["job_local"]);
    let failed = json!(["EngineError", true]);
    assert_eq!(
        found,
        json!({
            "direct": failed, "balanced": failed, "of_another_client": "EngineError", "back": true,
            // A nanny that is late is not believed about the engine that has taken the place of its own; one that is the first to
            // tell is.
            "late": [0, 1, 2], "believed": [0, 1],
        })
    );
    job.stop();
}

#[test]
fn the_hub_does_what_it_hears_whatever_its_database_has_lost_and_whoever_tells_first() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let programs = concat!(env!("CARGO_MANIFEST_DIR"), "/launcher");
        let found = python::ask(&place, &venv, "hub_hears.py", &[programs]);
        let (open, failed) = (json!([null, null]), json!(["EngineError", "error"]));
        assert_eq!(
            found,
            json!({
                "says": "hears ends\n", "listed": [], "failed": [failed, failed], "successor": "v5", "nanny_first": [open, failed],
                "believed": [false, true],
            }),
            "{name}"
        );
    }
}

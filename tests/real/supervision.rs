//! What dies while the job is ready is named, and the job goes on or ends in order.

use super::python;
use crate::support::{Job, Place, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

#[test]
fn a_killed_engine_degrades_the_job_and_the_last_one_ends_it() {
    engines_are_killed("exec");
}

#[test]
fn a_killed_forked_engine_degrades_the_job_and_the_last_one_ends_it() {
    engines_are_killed("fork");
}

fn engines_are_killed(way: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "2", "--engine-start", way];
    let mut job = Job::start(&place, &args);
    let record = job.wait_ready();
    let list = &record["engines"]["list"];
    kill9(&list[0]["pid"]);
    let degraded = job.wait_state(&["degraded"]);
    let pid = &list[0]["pid"];
    job.wait_line(&format!(
        "engine 0 (pid {pid}) ended with signal 9 (SIGKILL)"
    ));
    assert_eq!(degraded["engines"]["registered"], 1);
    assert_eq!(degraded["engines"]["missing"], json!([0]));
    // The hub hears of the death from the nanny, and keeps its list in a file.
    let hub = job.profile().join("log/enginesipjob0.json");
    wait_for("the hub's goodbye to engine 0", || {
        let known: Value = serde_json::from_slice(&std::fs::read(&hub).ok()?).ok()?;
        known["engines"].get("0").is_none().then_some(())
    });
    let left = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(left, json!({"ids": [1], "pids": [list[1]["pid"]]}));

    kill9(&list[1]["pid"]);
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    assert!(
        transcript.contains("error: the last engine ended"),
        "{transcript}"
    );
    job.assert_nothing_left();
}

fn pid_of(pid: &Value) -> u32 {
    u32::try_from(pid.as_u64().expect("a pid")).expect("a pid")
}

fn kill9(pid: &Value) {
    let pid = i32::try_from(pid_of(pid)).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
}

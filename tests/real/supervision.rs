//! What dies while the job is ready is named, and the job goes on or ends in order.

use super::python;
use crate::support::{Job, Place, command_line, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::collections::BTreeSet;

#[test]
fn a_killed_engine_degrades_the_job_and_a_killed_jupyter_ends_it() {
    an_engine_and_jupyter_are_killed("exec");
}

#[test]
fn a_killed_forked_engine_degrades_the_job_and_a_killed_jupyter_ends_it() {
    an_engine_and_jupyter_are_killed("fork");
}

fn an_engine_and_jupyter_are_killed(way: &str) {
    let Some(venv) = venv("main") else { return };
    let place = Place::with_venv(&venv);
    let args = ["--mode", "notebook", "-n", "2", "--engine-start", way];
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
    let hub = job.profile().join("log/engines.json");
    wait_for("the hub's goodbye to engine 0", || {
        let known: Value = serde_json::from_slice(&std::fs::read(&hub).ok()?).ok()?;
        known["engines"].get("0").is_none().then_some(())
    });
    let left = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(left, json!({"ids": [1], "pids": [list[1]["pid"]]}));

    let jupyter = child_of(job.pid(), "jupyter-lab");
    kill9(&json!(jupyter));
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    let cause = format!("error: jupyter (pid {jupyter}) ended with signal 9 (SIGKILL)");
    assert!(transcript.contains(&cause), "{transcript}");
    job.assert_nothing_left();
}

#[test]
fn a_killed_controller_ends_the_job_and_its_orphans() {
    let Some(venv) = venv("main") else { return };
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "1"]);
    let record = job.wait_ready();
    let main = &record["controller"]["pid"];
    let schedulers = children_of(pid_of(main));
    assert_eq!(schedulers.len(), 8, "{schedulers:?}");
    kill9(main);
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    let cause = format!("error: controller (pid {main}) ended with signal 9 (SIGKILL)");
    assert!(transcript.contains(&cause), "{transcript}");
    job.assert_nothing_left();
    for pid in schedulers {
        let line = command_line(pid);
        assert!(!line.contains("ipcontroller"), "pid {pid} is left: {line}");
    }
}

#[test]
fn each_of_the_controllers_processes_is_missed_when_it_dies() {
    let Some(venv) = venv("main") else { return };
    let place = Place::with_venv(&venv);
    let mut named = BTreeSet::new();
    for index in 0..8 {
        let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "1"]);
        let record = job.wait_ready();
        let schedulers = children_of(pid_of(&record["controller"]["pid"]));
        assert_eq!(schedulers.len(), 8, "{schedulers:?}");
        kill9(&json!(schedulers[index]));
        let (code, transcript) = job.finish();
        assert_eq!(code, 1, "{transcript}");
        let channel = transcript
            .lines()
            .find_map(|line| {
                let rest = line.strip_prefix("error: the controller's process for ")?;
                rest.strip_suffix(&format!(" (pid {}) has died", schedulers[index]))
            })
            .unwrap_or_else(|| panic!("scheduler {index} is not named:\n{transcript}"));
        // The ports are others every time; the names are what tells one process from the next.
        let channel: Vec<&str> = channel
            .split(", ")
            .filter_map(|part| part.split(" port ").next())
            .collect();
        named.insert(channel.join(", "));
        job.assert_nothing_left();
    }
    let expected = [
        "client broadcast",
        "client control, engine control",
        "client iopub, engine iopub",
        "client mux, engine mux",
        "client task, engine task",
        "engine broadcast 0",
        "engine broadcast 1",
        "engine hb_ping, engine hb_pong",
    ];
    assert_eq!(named, expected.map(str::to_owned).into());
}

fn pid_of(pid: &Value) -> u32 {
    u32::try_from(pid.as_u64().expect("a pid")).expect("a pid")
}

fn kill9(pid: &Value) {
    let pid = i32::try_from(pid_of(pid)).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it lives");
}

/// The children of a process, oldest first.
fn children_of(pid: u32) -> Vec<u32> {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
        .expect("a process")
        .split_ascii_whitespace()
        .map(|word| word.parse().expect("a pid"))
        .collect()
}

/// The child that runs a program.
fn child_of(pid: u32, program: &str) -> u32 {
    children_of(pid)
        .into_iter()
        .find(|child| command_line(*child).contains(program))
        .expect("it runs")
}

//! Engines without nannies: half as many Pythons, and their deaths are still seen at once.

use super::python;
use crate::support::{Job, Place, carriers, command_line, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;

/// The processes of a job that are nannies.
fn nannies(record: &Value) -> usize {
    carriers(record["incarnation"]["id"].as_str().expect("an id"))
        .into_iter()
        // What forks them is none.
        .filter(|(pid, _)| {
            let line = command_line(*pid);
            line.contains("ipyparallel.engine.nanny") && !line.contains("(forks them)")
        })
        .count()
}

#[test]
fn engines_have_a_nanny_each_or_none_and_a_dead_one_is_told_either_way() {
    let venv = needed!(venv("main"));
    for (nanny, number) in [("auto", 2), ("off", 0)] {
        let place = Place::with_venv(&venv);
        let options = ["--mode", "cluster-only", "-n", "2", "--nanny", nanny];
        let mut job = Job::start(&place, &options);
        let record = job.wait_ready();
        assert_eq!(nannies(&record), number, "--nanny {nanny}");
        let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
        assert_eq!(seen["ids"], json!([0, 1]));
        let pid = record["engines"]["list"][1]["pid"].as_i64().expect("a pid");
        let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
        kill(pid, Signal::SIGKILL).expect("it lives");
        job.wait_line(&format!("engine 1 (pid {pid}) ended with signal 9"));
        let record = job.wait_state(&["degraded"]);
        assert_eq!(record["engines"]["missing"], json!([1]));
        // The hub hears of it from ipjob, and keeps its list in a file.
        let hub = job.profile().join("log/enginesipjob0.json");
        wait_for("the hub's goodbye", || {
            let known: Value = serde_json::from_slice(&fs::read(&hub).ok()?).ok()?;
            known["engines"].get("1").is_none().then_some(())
        });
        let left = python::ask(&place, &venv, "execute.py", &["job_local"]);
        assert_eq!(left["ids"], json!([0]));
        job.stop();
    }
}

#[test]
fn engines_are_interrupted_and_signalled_with_and_without_nannies() {
    for (name, nanny) in [("main", "off"), ("ipp88", "off"), ("main", "on")] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let options = ["--mode", "cluster-only", "-n", "2", "--nanny", nanny];
        let mut job = Job::start(&place, &options);
        job.wait_ready();
        let found = python::ask(&place, &venv, "signals.py", &["job_local"]);
        assert_eq!(
            found,
            json!({
                "by_name": ["KeyboardInterrupt", true], "by_number": ["KeyboardInterrupt", true], "px": [0, 0],
                "no_signal": "AttributeError", "too_high": true, "left": [0],
            }),
            "{name} --nanny {nanny}"
        );
        job.stop();
    }
}

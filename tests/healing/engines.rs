//! An engine dies or freezes, with `--respawn engine`.

use super::{pid_of, send};
use crate::real::ask_python;
use crate::support::{Job, Place, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::json;

#[test]
fn a_killed_and_a_frozen_engine_are_replaced_under_their_ids() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "3", "--respawn", "engine"];
    // The hub drops a silent engine after 30 s by default.
    let patience = ["--controller-arg=--HeartMonitor.max_heartmonitor_misses=20"];
    let mut job = Job::start(&place, &[&args[..], &patience].concat());
    let before = job.wait_ready();
    let pid = |record: &serde_json::Value, id: usize| pid_of(&record["engines"]["list"][id]["pid"]);
    send(pid(&before, 0), Signal::SIGKILL);
    send(pid(&before, 2), Signal::SIGSTOP);
    job.wait_line("the hub has dropped engine 2 although the process lives");
    let after = wait_for("both engines' return", || {
        let record = job.record()?;
        (record["restarts"]["engines"] == 2 && record["state"] == "ready").then_some(record)
    });
    assert_eq!(after["engines"]["list"][1], before["engines"]["list"][1]);
    let seen = ask_python(&place, &venv, "execute.py", &["job_local"]);
    let pids: Vec<u32> = (0..3).map(|id| pid(&after, id)).collect();
    assert_eq!(seen, json!({"ids": [0, 1, 2], "pids": pids}));
    job.stop();
}

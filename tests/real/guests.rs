//! Engines that the user adds to a job's cluster: they are counted, and keep it up when the job's own have ended.

use super::python;
use crate::support::{Job, Place, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::process::{Child, Stdio};

fn guests(job: &mut Job, number: u32) -> Value {
    wait_for(&format!("{number} guests"), || {
        job.record()
            .filter(|record| record["engines"]["guests"] == number)
    })
}

fn end(mut engine: Child) {
    let _ = engine.kill();
    let _ = engine.wait();
}

#[test]
fn an_engine_that_the_user_adds_is_counted_and_keeps_the_cluster_up() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "1"]);
        let record = job.wait_ready();
        assert_eq!(record["engines"]["guests"], 0);
        let mut command = place.command(venv.join("bin/ipengine"));
        command.arg("--profile=job_local").stderr(Stdio::null());
        let guest = command.spawn().expect("ipengine");
        let with_guest = guests(&mut job, 1);
        assert_eq!(with_guest["state"], "ready");
        assert_eq!(with_guest["engines"]["registered"], 1);
        let status = place
            .ipjob(["status", "job_local"])
            .output()
            .expect("ipjob");
        let table = String::from_utf8_lossy(&status.stdout).into_owned();
        assert!(table.contains(" 1/1+1 "), "{table}");

        let own = record["engines"]["list"][0]["pid"].as_i64().expect("a pid");
        let own = Pid::from_raw(i32::try_from(own).expect("a pid"));
        kill(own, Signal::SIGKILL).expect("it lives");
        job.wait_line("the cluster stays up for an engine that others added");
        job.wait_state(&["degraded"]);
        let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
        assert_eq!(seen["ids"], json!([1]));
        assert_eq!(seen["pids"], json!([guest.id()]));

        end(guest);
        let (code, transcript) = job.finish();
        assert_eq!(code, 1, "{transcript}");
        assert!(
            transcript.contains("stopping: the last engine ended"),
            "{transcript}"
        );
        job.assert_nothing_left();
    }
}

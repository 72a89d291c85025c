//! Engines as one mpiexec of ipjob's.

use super::start::{Start, python};
use super::{WORLD, one_world};
use crate::support::{Place, venv};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

#[test]
fn starts_all_engines_as_one_world_by_whatever_name() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script(
        "ibrun",
        "printf '%s\\n' \"$*\" > $HOME/ibrun-args; exec mpiexec \"$@\"",
    );
    let command = place.ipjob([
        "--mode",
        "cluster-only",
        "-n3",
        "--launcher",
        "mpiexec",
        "--launcher-command",
        "ibrun",
    ]);
    let mut job = Start::of(&place, "job_local", command);
    let record = job.wait_state("ready");
    assert_eq!(record["launcher"], "mpiexec");
    let args = std::fs::read_to_string(place.dir().join("ibrun-args")).expect("it was run");
    assert!(args.starts_with("-n 3 "), "{args}");
    let list = record["engines"]["list"].as_array().expect("a list");
    let ranks: Vec<_> = list.iter().map(|engine| engine["rank"].clone()).collect();
    assert_eq!(ranks, [0, 1, 2]);
    assert_eq!(python(&place, WORLD, "job_local"), one_world(3));
    job.signal(Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    let record = job.assert_nothing_left();
    assert_eq!(record["warnings"], Value::Array(Vec::new()), "{output}");
}

#[test]
fn starts_the_whole_world_again_where_that_was_asked_for() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let command = place.ipjob([
        "--mode=cluster-only",
        "-n3",
        "--launcher=mpiexec",
        "--respawn=set",
    ]);
    let mut job = Start::of(&place, "job_local", command);
    let before = job.wait_state("ready");
    let pid = before["engines"]["list"][1]["pid"].as_i64().expect("a pid");
    let pid = Pid::from_raw(i32::try_from(pid).expect("a pid"));
    kill(pid, Signal::SIGKILL).expect("it lives");
    job.wait_state("degraded");
    let after = job.wait_state("ready");
    assert_eq!(after["restarts"]["engines"], 1);
    assert_eq!(after["controller"], before["controller"]);
    assert_eq!(python(&place, WORLD, "job_local"), one_world(3));
    job.signal(Signal::SIGTERM);
    let (code, output) = job.finish();
    assert_eq!(code, 0, "{output}");
    job.assert_nothing_left();
}

#[test]
fn is_named_when_it_ends() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("ipengine", "exit 3");
    let command = place.ipjob(["--mode=cluster-only", "-n2", "--launcher=mpiexec"]);
    let mut job = Start::of(&place, "job_local", command);
    let (code, output) = job.finish();
    assert_eq!(code, 3, "{output}");
    assert!(
        output.contains("error: the engines' mpiexec (pid "),
        "{output}"
    );
    assert!(!output.contains("srun"), "{output}");
    job.assert_nothing_left();
}

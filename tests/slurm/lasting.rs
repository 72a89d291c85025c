//! A notebook outlives the engines of its job, as an MPI world and as single tasks, and `ipjob restart` on the login node brings
//! them back.

use super::px;
use crate::support::lab::{ALICE, SlurmJob};
use crate::support::{Lab, wait_for};
use serde_json::{Value, json};

/// The hub drops a silent engine after 5 s, and not after 30 s.
const IMPATIENT: &str = "--controller-arg=--HeartMonitor.max_heartmonitor_misses=20";

/// What the engines tell of themselves.
const CELL: &str = "import os\nproc = int(os.environ['SLURM_PROCID'])";

fn start<'lab>(lab: &'lab Lab, options: &str) -> (SlurmJob<'lab>, Value) {
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--time=20"],
        &format!("exec ipjob --mode notebook {options} {IMPATIENT}"),
    );
    let before = job.wait_state("ready");
    (job, before)
}

fn kill(lab: &Lab, record: &Value, id: usize) {
    let engine = &record["engines"]["list"][id];
    lab.kill(engine["node"].as_str().expect("a node"), &engine["pid"]);
}

/// Asks on the login node; all engines are there then, and Jupyter is what it was.
fn restart(lab: &Lab, job: &SlurmJob, before: &Value, options: &str) -> Value {
    let line = format!("ipjob restart {} {options}", job.id);
    let done = lab.shell(ALICE, "login", &line);
    assert_eq!(done.code, 0, "{}\n{}", done.text, job.output());
    assert!(
        done.text.contains("4 of 4 engines are running"),
        "{}",
        done.text
    );
    let record = job.wait_state("ready");
    assert_eq!(record["url"], before["url"]);
    assert_eq!(record["restarts"]["jupyter"], 0);
    let profile = format!("job_{}", job.id);
    let seen = px(lab, "login", &profile, CELL, &["proc"]);
    assert_eq!(seen, json!([[0, 1, 2, 3], [0, 1, 2, 3]]));
    record
}

#[test]
fn single_tasks_and_all_of_them_come_back_on_request() {
    let lab = needed!(Lab::up(&[]));
    let (job, before) = start(&lab, "--mpi none");
    kill(&lab, &before, 3);
    job.wait_state("degraded");
    let after = restart(&lab, &job, &before, "");
    assert_eq!(
        after["restarts"]["engines"], 1,
        "the others were left alone"
    );
    assert_eq!(after["step"], before["step"]);

    // Slurm ends all that is left of the first step.
    let step = before["step"].as_str().expect("a step");
    let done = lab.shell(ALICE, "login", &format!("scancel {step}"));
    assert_eq!(done.code, 0, "{}", done.text);
    wait_for("the loss of the others", || {
        let record = job.record()?;
        (record["engines"]["missing"] == json!([0, 1, 2])).then_some(())
    });
    let after = restart(&lab, &job, &before, "");
    assert_eq!(after["restarts"]["engines"], 4);
    job.cancel();
}

#[test]
fn a_step_that_has_ended_comes_back_whole_on_request() {
    let lab = needed!(Lab::up(&[]));
    let (job, before) = start(&lab, "--mpi none");
    let step = before["step"].as_str().expect("a step");
    let done = lab.shell(ALICE, "login", &format!("scancel {step}"));
    assert_eq!(done.code, 0, "{}", done.text);
    job.wait_line("jupyter continues without engines; `ipjob restart` restarts them");
    job.wait_state("degraded");
    let after = restart(&lab, &job, &before, "");
    assert_ne!(after["step"], before["step"]);

    // A client ends them and the hub: no failure, and nothing undoes it but a request.
    let code = format!(
        "import ipyparallel as ipp\nipp.Client(profile='job_{}', timeout=30).shutdown(hub=True)",
        job.id
    );
    lab.python("login", &code);
    job.wait_line("the engines were shut down by a client; jupyter continues without engines");
    job.wait_line("controller was shut down by a client; jupyter continues without a controller");
    job.wait_state("degraded");
    let after = restart(&lab, &job, &before, "");
    // They hang: all are ended and start anew.
    let anew = restart(&lab, &job, &before, "--all");
    assert_ne!(anew["step"], after["step"]);
    job.cancel();
}

#[test]
fn a_world_that_loses_a_rank_comes_back_by_itself_or_where_the_user_says_no_on_request() {
    let lab = needed!(Lab::up(&[]));
    let (job, before) = start(&lab, "");
    kill(&lab, &before, 3);
    job.wait_line("restarting the whole set (1 of 5)");
    job.wait_state("ready");
    restart(&lab, &job, &before, "--all");
    job.cancel();

    let (job, before) = start(&lab, "--respawn off");
    kill(&lab, &before, 3);
    job.wait_line("jupyter continues without engines; `ipjob restart` restarts them");
    job.wait_state("degraded");
    restart(&lab, &job, &before, "");
    job.cancel();
}

#[test]
fn a_world_outlives_a_rank_that_is_only_silent() {
    let lab = needed!(Lab::up(&[]));
    let (job, before) = start(&lab, "");
    let silent = &before["engines"]["list"][3];
    let node = silent["node"].as_str().expect("a node");
    let stop = format!("kill -STOP {}", silent["pid"]);
    let done = lab.shell(ALICE, node, &stop);
    assert_eq!(done.code, 0, "{}", done.text);
    job.wait_line("and nothing reported an end: nothing is ended");
    let record = job.wait_state("degraded");
    assert_eq!(record["engines"]["missing"], json!([3]));
    assert_eq!(record["step"], before["step"]);
    let after = restart(&lab, &job, &before, "--all");
    assert_ne!(after["step"], before["step"]);
    job.cancel();
}

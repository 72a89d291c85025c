//! The job's end while engines are on their way back.

use crate::support::lab::{ALICE, SlurmJob};
use crate::support::{Lab, wait_for};
use serde_json::json;

/// The hub drops a silent engine after 5 s, and not after 30 s.
const IMPATIENT: &str = "--controller-arg=--HeartMonitor.max_heartmonitor_misses=20";

/// Puts a program between srun and ipengine: in a step that is not the first it does this.
fn wrapper(lab: &Lab, name: &str, again: &str) -> String {
    let text = format!(
        "#!/bin/sh\nif [ $SLURM_STEP_ID != 0 ]; then\n: >$HOME/again-$SLURM_JOB_ID\n{again}\nfi\nexec \"$@\"\n"
    );
    let path = lab.script(name, &text);
    format!("--engine-wrapper {}", path.display())
}

/// Kills the last engine of a job that is ready.
fn kill_last(lab: &Lab, job: &SlurmJob) {
    let record = job.wait_state("ready");
    let list = record["engines"]["list"].as_array().expect("a list");
    let engine = list.last().expect("an engine");
    lab.kill(engine["node"].as_str().expect("a node"), &engine["pid"]);
}

/// Waits until an engine is being started again.
fn wait_again(lab: &Lab, job: &SlurmJob) {
    wait_for(&format!("the next start in job {}", job.id), || {
        let hangs = lab.home(format!("again-{}", job.id)).exists();
        hangs.then_some(())
    });
}

#[test]
fn a_job_that_is_cancelled_while_engines_come_back_ends_in_order() {
    // Slurm's own default, and not the lab's 5 s.
    let options = ["--slurm-conf", "KillWait=30"];
    let lab = needed!(Lab::up(&options));
    let engine = "exec ipjob --mode cluster-only --mpi none --respawn engine";
    let set = format!("exec ipjob --mode cluster-only --respawn set {IMPATIENT}");
    let hangs = wrapper(&lab, "hangs", "exec tail -f /dev/null");
    let fails = wrapper(&lab, "fails", "exit 3");
    let submit = |line: &str| lab.submit(&["-N2", "--ntasks-per-node=1", "--overcommit"], line);

    // It has started and does not come; once the same with a set.
    for run in [engine, &set] {
        let job = submit(&format!("{run} {hangs}"));
        kill_last(&lab, &job);
        wait_again(&lab, &job);
        let ended = job.cancel();
        assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    }
    // In the pause before the next try, of 10 s.
    let job = submit(&format!("{engine} {fails}"));
    kill_last(&lab, &job);
    job.wait_line("restarting engine 1 (4 of 5)");
    assert!(job.output().contains("ended with exit code 3"));
    assert_eq!(job.cancel().state, "CANCELLED");
    // Slurm's own end of the job's time, at its next look.
    let job = submit(&format!("{engine} {hangs}"));
    kill_last(&lab, &job);
    wait_again(&lab, &job);
    let line = format!("scontrol update JobId={} EndTime=now+3seconds", job.id);
    let moved = lab.shell(ALICE, "login", &line);
    assert_eq!(moved.code, 0, "{}", moved.text);
    let ended = job.finish();
    assert_eq!(job.assert_nothing_left()["exit"], 7, "{}", ended.output);
}

#[test]
fn a_job_that_is_requeued_while_an_engine_comes_back_starts_anew() {
    let lab = needed!(Lab::up(&[]));
    let hangs = wrapper(
        &lab,
        "hangs",
        "[ -n \"$SLURM_RESTART_COUNT\" ] || exec tail -f /dev/null",
    );
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1", "--requeue"],
        &format!("exec ipjob --mode cluster-only --mpi none --respawn engine {hangs}"),
    );
    kill_last(&lab, &job);
    wait_again(&lab, &job);
    let line = format!("scontrol requeue {}", job.id);
    let requeued = lab.shell(ALICE, "login", &line);
    assert_eq!(requeued.code, 0, "{}", requeued.text);
    let record = wait_for("the next life", || {
        let record = job.record()?;
        (record["job"]["restart"] == 1 && record["state"] == "ready").then_some(record)
    });
    assert_eq!(record["restarts"]["engines"], 0);
    assert_eq!(record["engines"]["missing"], json!([]));
    assert!(job.output().contains("ended; nothing is left running"));
    job.cancel();
}

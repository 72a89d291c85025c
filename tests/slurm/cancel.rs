//! scancel in every phase: the job ends in order, and nothing of it is left.

use crate::support::{Lab, lab::SlurmJob, wait_for};
use std::fs;
use std::path::Path;

/// Puts a program into a directory of its own in alice's home, before all others on PATH: where its arguments match the pattern
/// it leaves a file and hangs, else it is the real one. Returns the line for the batch script.
fn hanging(lab: &Lab, program: &str, pattern: &str) -> String {
    let place = format!("{program}-{pattern}");
    fs::create_dir(lab.home(&place)).expect("a directory");
    let venv = lab.path();
    let (venv, _) = venv.split_once(':').expect("a path");
    lab.script(
        &format!("{place}/{program}"),
        &format!(
            "#!/bin/sh\ncase \"$*\" in *{pattern}*) : >$HOME/hangs-$SLURM_JOB_ID; exec tail -f /dev/null;; esac\nexec {venv}/{program} \"$@\"\n"
        ),
    );
    format!("PATH=$HOME/{place}:$PATH")
}

/// Waits until the job's program hangs: the phase is reached.
fn wait_phase(lab: &Lab, job: &SlurmJob) {
    let mark = lab.home(format!("hangs-{}", job.id));
    wait_for(&format!("the phase of job {}", job.id), || {
        Path::exists(&mark).then_some(())
    });
}

#[test]
fn a_job_ends_in_order_in_every_phase() {
    // Slurm's own default, and not the lab's 5 s: Jupyter on a busy machine takes its time.
    let lab = needed!(Lab::up(&["--slurm-conf", "KillWait=30"]));
    let run = "exec ipjob --mode notebook --mpi none";
    let submit = |body: &str| lab.submit(&["-n1"], body);
    let looking = hanging(&lab, "ipcontroller", "--version");
    let controller = hanging(&lab, "ipcontroller", "--profile");
    let jupyter = hanging(&lab, "jupyter-lab", "--");
    let engine = lab.script(
        "engine",
        "#!/bin/sh\n: >$HOME/hangs-$SLURM_JOB_ID\nexec tail -f /dev/null\n",
    );
    // Deaf to SIGTERM, so that the stop takes its time.
    let deaf = lab.script("deaf", "#!/bin/sh\ntrap '' TERM\nexec \"$@\"\n");

    let before = submit(&format!("{looking}\n{run}"));
    let starting = [
        submit(&format!("{controller}\n{run}")),
        submit(&format!("{run} --engine-wrapper {}", engine.display())),
        submit(&format!("{jupyter}\n{run}")),
    ];
    wait_phase(&lab, &before);
    before.scancel();
    let ended = before.finish();
    assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    assert!(
        ended.output.contains("stopping: SIGTERM"),
        "{}",
        ended.output
    );
    assert!(
        !before.profile("").exists(),
        "a profile was made for nothing"
    );

    for job in starting {
        wait_phase(&lab, &job);
        assert_eq!(job.wait_state("starting")["state"], "starting");
        let ended = job.cancel();
        assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    }

    let ready = submit(run);
    let stopping = submit(&format!(
        "{run} --stop-timeout 5s --engine-wrapper {}",
        deaf.display()
    ));
    ready.wait_state("ready");
    assert_eq!(ready.cancel().state, "CANCELLED");

    let record = stopping.wait_state("ready");
    let node = record["incarnation"]["host"].as_str().expect("a node");
    let pid = &record["incarnation"]["pid"];
    let asked = lab.shell("alice", node, &format!("kill -TERM {pid}"));
    assert_eq!(asked.code, 0, "{}", asked.text);
    stopping.wait_state("stopping");
    assert_eq!(stopping.cancel().state, "CANCELLED");
}

#[test]
fn a_stop_that_may_take_longer_is_done_before_slurm_kills() {
    let lab = needed!(Lab::up(&["--slurm-conf", "KillWait=12"]));
    let driver = lab.script("deaf", "#!/bin/sh\ntrap '' TERM\nexec tail -f /dev/null\n");
    let job = lab.submit(
        &["-n1"],
        &format!(
            "exec ipjob --mode cluster-only --mpi none --stop-timeout 2m -- {}",
            driver.display()
        ),
    );
    job.wait_state("ready");
    job.scancel();
    let ended = job.finish();
    assert_eq!(ended.state, "CANCELLED", "{}", ended.output);
    // Nothing is left, and the record says how it ended: the driver was killed.
    let record = job.assert_nothing_left();
    assert_eq!(record["reason"], "SIGTERM");
    assert_eq!(record["exit"], 137);
    let killed = "Slurm is about to kill what is left: killing everything now";
    assert!(ended.output.contains(killed), "{}", ended.output);
    assert!(!ended.output.contains("scancel"), "{}", ended.output);
}

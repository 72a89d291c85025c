//! Slurm's controller is down while a job runs: it goes on, and ends in order all the same.

use crate::support::{Lab, lab::SlurmJob, wait_for};

/// Ends slurmctld and waits until it is gone.
pub fn stop_slurmctld(lab: &Lab) {
    let line = "pid=$(cat /run/slurmctld.pid) && kill $pid && while kill -0 $pid 2>/dev/null; do read -t 0.1 <> <(:); done; true";
    let done = lab.shell("root", "ctl", line);
    assert_eq!(done.code, 0, "{}", done.text);
}

/// Asks the job's ipjob to end, as scancel cannot, and waits for that; the output and the record's warnings.
fn stop(lab: &Lab, job: &SlurmJob) -> (String, Vec<String>) {
    let record = job.record().expect("a record");
    let node = record["incarnation"]["host"].as_str().expect("a node");
    let pid = &record["incarnation"]["pid"];
    let asked = lab.shell("alice", node, &format!("kill -TERM {pid}"));
    assert_eq!(asked.code, 0, "{}", asked.text);
    wait_for("the end", || {
        (job.record()?["state"] == "ended").then_some(())
    });
    job.wait_line("ended; nothing is left running");
    // On the other node as well, where only Slurm has a hand.
    wait_for("the end of the last process", || {
        let id = record["incarnation"]["id"].as_str().expect("an id");
        crate::support::carriers(id).is_empty().then_some(())
    });
    let record = job.assert_nothing_left();
    assert_eq!(record["exit"], 0, "{}", job.output());
    assert_eq!(record["reason"], "SIGTERM");
    let warnings = record["warnings"].as_array().expect("a list").iter();
    let warnings = warnings.map(|text| text.as_str().expect("a text").to_owned());
    (job.output(), warnings.collect())
}

#[test]
fn a_job_goes_on_and_ends_in_order_while_slurmctld_is_down() {
    let lab = needed!(Lab::up(&[]));
    let running = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let local = lab.script(
        "mpiexec-here",
        "#!/bin/sh\nexec mpiexec -launcher fork \"$@\"\n",
    );
    // Its first question is asked when nobody answers.
    let late = lab.submit(
        &["-n1"],
        &format!(
            "mkfifo go\nread <go\nexec ipjob --mode cluster-only --mpi none --launcher mpiexec --launcher-command {}",
            local.display()
        ),
    );
    running.wait_state("ready");
    wait_for("the second job", || lab.home("go").exists().then_some(()));
    stop_slurmctld(&lab);
    let go = lab.shell("alice", "node1", "echo >go");
    assert_eq!(go.code, 0, "{}", go.text);

    let text = "squeue does not answer: the job keeps running, and ipjob will ask for its time limit again";
    late.wait_line(text);
    late.wait_state("ready");
    let (output, warnings) = stop(&lab, &late);
    assert_eq!(output.matches(text).count(), 1, "{output}");
    assert_eq!(warnings, [text]);

    assert_eq!(running.record().expect("a record")["state"], "ready");
    let (output, warnings) = stop(&lab, &running);
    assert_eq!(warnings, [""; 0], "{output}");
    let line = "scancel does not reach the engines: ending them through srun";
    assert!(output.contains(line), "{output}");

    let up = lab.shell("root", "ctl", "slurmctld");
    assert_eq!(up.code, 0, "{}", up.text);
    for job in [running, late] {
        let ended = job.finish();
        assert_eq!(ended.state, "COMPLETED", "{}", ended.output);
    }
}

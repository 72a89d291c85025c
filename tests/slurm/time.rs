//! The end of the job's time, and what moves it.

use crate::support::Lab;

#[test]
fn the_job_ends_in_order_before_its_time_does() {
    let lab = needed!(Lab::up(&[]));
    // Slurm looks at limits every 30 s, so this signal comes 60 to 90 s before the end.
    let signalled = lab.submit(
        &["-n1", "--time=2", "--signal=B:TERM@60"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    // Its end is as near, but that is not why it ends.
    let cancelled = lab.submit(
        &["-n1", "--time=1"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    cancelled.wait_state("ready");
    cancelled.cancel();
    let unsignalled = lab.submit(
        &["-n1", "--time=5"],
        "scontrol update JobId=$SLURM_JOB_ID EndTime=now+75seconds\nexec ipjob --mode cluster-only --mpi none --stop-before 55",
    );
    let forked = lab.submit(
        &["-n1", "--time=1", "--signal=B:TERM@10"],
        "exec ipjob --mode cluster-only --mpi none --engine-start fork",
    );
    let line = "warning: the job's time ends in 1 minute; it will be shut down before";
    for (job, warned) in [(unsignalled, true), (signalled, false), (forked, false)] {
        let ended = job.finish();
        assert_eq!(ended.code, 7, "{}", ended.output);
        assert_eq!(ended.state, "FAILED", "Slurm's own word would be TIMEOUT");
        assert_eq!(ended.output.contains(line), warned, "{}", ended.output);
        assert!(
            ended.output.contains("ready: 1 engine,"),
            "{}",
            ended.output
        );
        let record = job.assert_nothing_left();
        assert_eq!(record["exit"], 7);
        assert_eq!(record["reason"], "the job's time limit");
        let warnings = record["warnings"].as_array().expect("a list");
        assert_eq!(!warnings.is_empty(), warned, "{warnings:?}");
    }
}

#[test]
fn an_end_that_was_moved_is_heard_of_when_it_matters() {
    let lab = needed!(Lab::up(&[]));
    let run = "exec ipjob --mode cluster-only --mpi none";
    // Slurm ends a job at the next of its looks, every 30 s; ipjob would ask for the end again after ten minutes.
    let shortened = lab.submit(&["-n1", "--time=20"], run);
    // Asks once more 35 s before it would begin to stop.
    let lengthened = lab.submit(&["-n1", "--time=2"], &format!("{run} --stop-before 70"));
    let first = crate::support::wait_for("the end that is known first", || {
        let deadline = lengthened.record()?["job"]["deadline"].clone();
        (!deadline.is_null()).then_some(deadline)
    });
    let line = format!("scontrol update JobId={} TimeLimit=60", lengthened.id);
    let moved = lab.shell("root", "login", &line);
    assert_eq!(moved.code, 0, "{}", moved.text);
    shortened.wait_state("ready");
    let line = format!(
        "scontrol update JobId={} EndTime=now+3seconds",
        shortened.id
    );
    let moved = lab.shell("alice", "login", &line);
    assert_eq!(moved.code, 0, "{}", moved.text);

    let ended = shortened.finish();
    // scancel fails because Slurm itself is at it.
    let fails = ended.output.contains("scancel does not");
    assert!(!fails, "{}", ended.output);
    assert!(
        ended.output.contains("stopping: SIGTERM"),
        "{}",
        ended.output
    );
    let line = "SIGTERM came for the job's time limit";
    assert!(ended.output.contains(line), "{}", ended.output);
    let record = shortened.assert_nothing_left();
    assert_eq!(record["exit"], 7);
    assert_eq!(record["reason"], "the job's time limit");

    crate::support::wait_for("the new end", || {
        let record = lengthened.record()?;
        assert_ne!(record["state"], "stopping", "{}", lengthened.output());
        (record["job"]["deadline"] != first).then_some(())
    });
    lengthened.cancel();
}

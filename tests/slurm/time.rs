use crate::support::Lab;

#[test]
fn the_job_ends_in_order_before_its_time_does() {
    let Some(lab) = Lab::up(&[]) else { return };
    // Slurm looks at limits every 30 s, so this signal comes 10 to 40 s before the end.
    let signalled = lab.submit(
        &["-n1", "--time=1", "--signal=B:TERM@10"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let unsignalled = lab.submit(
        &["-n1", "--time=5"],
        "scontrol update JobId=$SLURM_JOB_ID EndTime=now+75seconds\nexec ipjob --mode cluster-only --mpi none --stop-before 55",
    );
    // The end of a job that is still starting, and its exit.
    let starting = lab.submit(&["-n1"], "exec ipjob --mode notebook");
    starting.wait_state("starting");
    starting.cancel();

    let line = "warning: the job's time ends in 1 minute; it will be taken down before";
    for (job, warned) in [(unsignalled, true), (signalled, false)] {
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

//! Another job takes the nodes: with a grace time Slurm signals the engines at once, and ipjob, the batch script, only at its end.

use crate::support::{Lab, lab::ALICE};

#[test]
fn preemption_is_an_orderly_end() {
    let conf = [
        "PreemptType=preempt/partition_prio",
        "PreemptMode=CANCEL",
        "PartitionName=low Nodes=ALL PriorityTier=1 GraceTime=60",
        "PartitionName=none Nodes=ALL PriorityTier=1",
        "PartitionName=high Nodes=ALL PriorityTier=10",
    ];
    let options: Vec<&str> = conf
        .iter()
        .flat_map(|line| ["--slurm-conf", line])
        .collect();
    let lab = needed!(Lab::up(&options));
    let slurms =
        "preemption: Slurm takes the job's nodes for another job, and has ended the engines";
    let cluster = "exec ipjob --mode cluster-only";
    for (partition, body, reason) in [
        ("low", format!("{cluster} --mpi none"), slurms),
        ("low", "exec ipjob --mode notebook".to_owned(), slurms),
        // Without a grace time all hear it at once.
        ("none", format!("{cluster} --mpi none"), "SIGTERM"),
    ] {
        let partition = format!("--partition={partition}");
        let job = lab.submit(&["-N2", "--ntasks-per-node=1", &partition], &body);
        job.wait_state("ready");
        let other = lab.submit(&["-N2", "--ntasks-per-node=4", "--partition=high"], "true");
        let ended = job.finish();
        let record = job.assert_nothing_left();
        assert_eq!(record["reason"], reason, "{}", ended.output);
        assert_eq!(record["exit"], 0, "{}", ended.output);
        assert!(
            !ended.output.contains("error: the engines"),
            "{}",
            ended.output
        );
        assert_eq!(other.finish().state, "COMPLETED");
        let left = lab.shell(ALICE, "login", "squeue --noheader");
        assert_eq!(left.text, "", "the nodes are free again");
    }
}

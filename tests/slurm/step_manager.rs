//! A node of the job manages its steps, in the place of slurmctld (24.05 and later): squeue shows none of them.

use super::px;
use crate::support::Lab;
use crate::support::lab::ALICE;
use serde_json::json;

/// What sites set for it. Slurm 22.05 passes over the first word.
const MANAGED: [&str; 4] = [
    "--slurm-conf",
    "SlurmctldParameters=enable_stepmgr",
    "--slurm-conf",
    "PrologFlags=contain",
];

#[test]
fn engines_come_back_and_all_ends_in_order_where_squeue_shows_no_step() {
    let lab = needed!(Lab::up(&MANAGED));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2"],
        "exec ipjob --mode cluster-only --mpi none --respawn engine",
    );
    let record = job.wait_state("ready");
    let managed = lab.shell(ALICE, "login", &format!("scontrol show job {}", job.id));
    let steps = lab.shell(ALICE, "login", "squeue --noheader --steps --format=%j");
    assert_eq!(
        managed.text.contains("StepMgrEnabled=Yes"),
        !steps.text.contains("ipjob-engines"),
        "{}{}",
        managed.text,
        steps.text
    );
    lab.kill("node2", &record["engines"]["list"][2]["pid"]);
    job.wait_line("engine 2 is back, with an empty memory");
    let profile = format!("job_{}", job.id);
    let seen = px(&lab, "login", &profile, "x = 1 + 1", &["x"]);
    assert_eq!(seen, json!([[0, 1, 2, 3], [2, 2, 2, 2]]));
    job.cancel();

    // An MPI world whose first end is that of all, by srun's words alone.
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=1"],
        "exec ipjob --mode cluster-only",
    );
    let record = job.wait_state("ready");
    lab.kill("node2", &record["engines"]["list"][1]["pid"]);
    let ended = job.finish();
    assert_eq!(ended.code, 1, "{}", ended.output);
    assert!(
        ended.output.contains("srun: error: node2: task 1: Killed"),
        "{}",
        ended.output
    );
    job.assert_nothing_left();
}

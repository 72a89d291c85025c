//! A node's power is cut while the job runs with --no-kill: the others live on.

use super::px;
use crate::support::{Lab, wait_for};
use serde_json::json;

/// A lab that notices soon when a node is gone.
const ATTENTIVE: [&str; 4] = [
    "--slurm-conf",
    "SlurmdTimeout=10",
    "--slurm-conf",
    "MessageTimeout=5",
];

#[test]
fn the_engines_of_the_other_nodes_outlive_a_node_without_power() {
    let lab = needed!(Lab::up(&ATTENTIVE));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--no-kill"],
        "exec ipjob --mode cluster-only --mpi none",
    );
    let record = job.wait_state("ready");
    let lost = &record["engines"]["list"][2];
    assert_eq!(lost["node"], "node2");
    let off = lab.command("power").args(["node2", "off"]).status();
    assert!(off.is_ok_and(|status| status.success()));

    // The hub notices by the silence, srun by Slurm's word.
    let record = wait_for("the loss of both engines", || {
        job.record()
            .filter(|record| record["engines"]["missing"] == json!([2, 3]))
    });
    assert_eq!(record["state"], "degraded", "{}", job.output());
    job.wait_line("srun: error: Node failure on node2");
    let named = format!(
        "engine 2 (rank 2 on node2, pid {}) left the hub's list",
        lost["pid"]
    );
    wait_for("the warnings in the record", || {
        let record = job.record()?;
        let warnings = record["warnings"].as_array()?;
        let has = |part: &str| {
            warnings
                .iter()
                .any(|text| text.as_str().is_some_and(|text| text.contains(part)))
        };
        (has(&named) && has("Node failure on node2")).then_some(())
    });
    let profile = format!("job_{}", job.id);
    let seen = px(&lab, "login", &profile, "x = 1 + 1", &["x"]);
    assert_eq!(seen, json!([[0, 1], [2, 2]]));
    job.cancel();
}

#[test]
fn engines_of_a_node_that_is_gone_are_given_up_with_one_word() {
    let lab = needed!(Lab::up(&ATTENTIVE));
    let job = lab.submit(
        &["-N2", "--ntasks-per-node=2", "--no-kill"],
        "exec ipjob --mode cluster-only --mpi none --respawn engine",
    );
    job.wait_state("ready");
    let off = lab.command("power").args(["node2", "off"]).status();
    assert!(off.is_ok_and(|status| status.success()));
    let gone = "Slurm no longer starts steps on node2 (";
    job.wait_line(gone);
    let record = wait_for("the loss of both engines", || {
        job.record()
            .filter(|record| record["engines"]["missing"] == json!([2, 3]))
    });
    assert!(
        record["restarts"]["engines"].as_u64() <= Some(4),
        "{record}"
    );
    let profile = format!("job_{}", job.id);
    let seen = px(&lab, "login", &profile, "x = 1 + 1", &["x"]);
    assert_eq!(seen, json!([[0, 1], [2, 2]]));
    let ended = job.cancel();
    assert_eq!(ended.output.matches(gone).count(), 1, "{}", ended.output);
    let lines = ended.output.lines().count();
    assert!(lines < 60, "{lines} lines:\n{}", ended.output);
}

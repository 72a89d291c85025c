//! A node's power is cut while the job runs with --no-kill: the others live on.

use super::px;
use crate::support::{Lab, wait_for};
use serde_json::json;

#[test]
fn the_engines_of_the_other_nodes_outlive_a_node_without_power() {
    let conf = ["SlurmdTimeout=10", "MessageTimeout=5"];
    let options: Vec<&str> = conf
        .iter()
        .flat_map(|line| ["--slurm-conf", line])
        .collect();
    let lab = needed!(Lab::up(&options));
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

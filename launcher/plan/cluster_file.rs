//! The file by which ipyparallel's own tools know a cluster: `ipcluster list`, `Cluster.from_file` and JupyterLab's list of clusters.
//!
//! docs/design/notebooks.md explains the design.

use super::Plan;
use serde_json::json;
use std::path::Path;

/// The launcher of the Python package `ipjob`, by the name of its entry point: its stop is ipjob's, and takes its time.
const LAUNCHER: &str = "ipjob";

/// The file's text, as `Cluster.to_dict` of ipyparallel 8 and 9 would write it: what differs they would write anew.
#[must_use]
pub fn text(plan: &Plan) -> String {
    let path = |path: &Path| path.display().to_string();
    let directory = path(&plan.profile.dir);
    let half = json!({
        "cluster_id": "",
        "incarnation": plan.incarnation.id,
        "profile_dir": directory,
        "record": path(&plan.profile.record()),
        "state": "running",
    });
    let mut engines = half.clone();
    engines["n"] = plan.engines.into();
    json!({
        "cluster": {
            "cluster_id": "",
            "controller_args": [],
            "controller_ip": "",
            "controller_location": "",
            "delay": 0.0,
            "n": plan.engines,
            "profile_dir": directory,
            "class": "ipyparallel.cluster.cluster.Cluster",
        },
        "controller": { "class": LAUNCHER, "state": half },
        "engines": { "class": LAUNCHER, "sets": { "ipjob": engines } },
    })
    .to_string()
}

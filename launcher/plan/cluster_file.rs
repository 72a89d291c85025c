//! The file by which ipyparallel's own tools know a cluster: `ipcluster list`, `Cluster.from_file` and JupyterLab's list of clusters.
//!
//! docs/design/notebooks.md explains the design.

use super::Plan;
use serde_json::{Value, json};
use std::path::Path;

/// The launcher of the Python package `ipjob`, by the name of its entry point: its stop is ipjob's, and takes its time.
const LAUNCHER: &str = "ipjob";

/// Whether such a file was written by an ipjob, or for a job of one.
#[must_use]
pub fn is_ours(text: &str) -> bool {
    let file: Value = serde_json::from_str(text).unwrap_or_default();
    file["controller"]["class"] == LAUNCHER
}

/// The file's text, as `Cluster.to_dict` of ipyparallel 8 and 9 writes it: they rewrite a file that differs.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_somebody_elses_cluster_is_not_ours() {
        assert!(is_ours(
            r#"{"controller": {"class": "ipjob", "state": {}}}"#
        ));
        for text in [
            r#"{"controller": {"class": "local", "state": {}}}"#,
            r#"{"controller": "ipjob"}"#,
            "[]",
            "",
        ] {
            assert!(!is_ours(text), "{text}");
        }
    }
}

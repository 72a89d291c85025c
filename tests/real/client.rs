//! `rc = ipp.Client(profile="job_local")` beside a notebook job, as the first screen of the README promises it.

use super::python;
use crate::support::{Job, Place, venv};
use serde_json::{Value, json};

#[test]
fn a_client_computes_with_every_kind_of_view_whatever_was_in_the_environment() {
    every_view_computes("exec");
}

#[test]
fn a_client_computes_on_forked_engines_as_well() {
    every_view_computes("fork");
}

fn every_view_computes(way: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut command = place.ipjob(["--mode", "notebook", "-n", "4", "--engine-start", way]);
    // What shells and MPI jobs leave behind: each of these, handed on, breaks a controller, an engine's MPI or Jupyter.
    command
        .env("IPP_CONNECTION_INFO", "{}")
        .env("IPP_CLUSTER_ID", "other")
        .env("IPP_PROFILE_DIR", "/nowhere")
        .env("JUPYTER_TOKEN", "other")
        .env("JUPYTER_RUNTIME_DIR", "/proc/nowhere")
        .env("XDG_RUNTIME_DIR", "/proc/nowhere")
        .env("PMI_FD", "99")
        .env("PMI_RANK", "1")
        .env("PMI_SIZE", "2");
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();

    let seen = python::ask(&place, &venv, "views.py", &["job_local"]);
    assert_eq!(seen["ids"], json!([0, 1, 2, 3]));
    assert_eq!(seen["pids"], json!(engine_pids(&record)));
    let squares: Vec<u32> = (0..20).map(|x| x * x).collect();
    assert_eq!(seen["balanced"], json!(squares));
    let mut sorted = engine_pids(&record);
    sorted.sort_by_key(Value::as_u64);
    assert_eq!(seen["broadcast"], json!(sorted));
    assert_eq!(seen["worlds"], json!([1, 1, 1, 1]));
    assert_eq!(record["engines"]["registered"], 4);
    assert_eq!(record["engines"]["missing"], json!([]));
    assert_eq!(record["warnings"], json!([]), "{}", job.transcript());
    job.stop();
}

/// The record's list of engines, by id.
fn engine_pids(record: &Value) -> Vec<Value> {
    record["engines"]["list"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|engine| engine["pid"].clone())
        .collect()
}

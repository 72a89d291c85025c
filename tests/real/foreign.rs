//! Other clusters in the profile of a job: ipjob believes its own controller alone, and its files come back.

use super::{http, python};
use crate::support::{Job, Place, venv};
use serde_json::{Value, json};

/// The engines of a record: id and process.
fn engines(record: &Value) -> Vec<(&Value, &Value)> {
    let list = record["engines"]["list"].as_array().expect("a list");
    list.iter()
        .map(|engine| (&engine["id"], &engine["pid"]))
        .collect()
}

/// ipyparallel's own cluster starts and stops in the profile of a job with these options.
fn beside(name: &str, options: &[&str], more: &[&str]) {
    let venv = needed!(venv(name));
    let place = Place::with_venv(&venv);
    let options = [&["-n", "2"], options].concat();
    let mut job = Job::start(&place, &options);
    let record = job.wait_ready();
    let seen = python::ask(
        &place,
        &venv,
        "foreign.py",
        &[&["job_local"], more].concat(),
    );
    assert_eq!(seen["sums"], json!([2400, 2400]), "the results are right");
    assert_eq!(seen["ids"], json!([0, 1]));
    assert_eq!(seen["base"], json!([40, 40]), "the engines are the same");
    let line = job.wait_line("overwritten by another controller, ");
    let who = format!("pid {} (", seen["controller"]);
    assert!(line.contains(&who), "no {who:?} in {line}");
    assert!(line.contains("ipyparallel.controller"), "{line}");
    assert!(line.contains(", started by pid "), "{line}");
    let after = job.wait_ready();
    assert_eq!(engines(&after), engines(&record), "{}", job.transcript());
    assert_eq!(after["restarts"], record["restarts"]);
    let transcript = job.stop();
    for wrong in ["has dropped", "ended with", "restarted", "left the hub"] {
        assert!(!transcript.contains(wrong), "{wrong}: {transcript}");
    }
}

#[test]
fn a_cluster_that_starts_and_stops_in_the_profile_harms_nothing() {
    for name in ["main", "ipp88"] {
        beside(name, &["--mode", "cluster-only"], &[]);
    }
}

#[test]
fn engines_that_are_respawned_are_not_killed_on_a_foreign_hubs_word() {
    let options = ["--mode", "cluster-only", "--respawn", "engine"];
    beside("main", &options, &["clean"]);
}

#[test]
fn a_click_in_jupyterlabs_list_of_clusters_harms_nothing() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(
        &place,
        &["--mode", "notebook", "-n", "2", "--respawn", "engine"],
    );
    let record = job.wait_ready();
    let token = record["token"].as_str();
    let list = "/ipyparallel/clusters";
    let (status, listed) = http::get(&record, list);
    assert!(
        status == 200 && listed.contains("\"job_local:\""),
        "{listed}"
    );
    let one = format!("{list}/job_local:");
    let (status, answer) = http::ask("POST", &record, &one, token);
    assert_eq!(status, 200, "{answer}");
    let line = job.wait_line("overwritten by another controller, ");
    // It was this job's own Jupyter.
    assert!(line.contains("jupyter-lab"), "{line}");
    let (status, answer) = http::ask("DELETE", &record, &one, token);
    assert_eq!(status, 204, "{answer}");
    job.wait_line("removed: put back");
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], json!([0, 1]));
    let after = job.wait_ready();
    assert_eq!(engines(&after), engines(&record), "{}", job.transcript());
    job.stop();
}

#[test]
fn with_a_wiring_of_the_controllers_own_its_files_come_back_too() {
    let options = ["--mode", "cluster-only", "--start", "sequential"];
    beside("main", &options, &[]);
}

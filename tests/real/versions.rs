//! Every ipyparallel that is supported: it starts, registers two engines, executes, and stops cleanly.

use super::python;
use crate::support::{Job, Place, venv};
use serde_json::json;

#[test]
fn ipyparallel_9_2_works() {
    works("main", "9.2.0");
}

#[test]
fn ipyparallel_8_8_works() {
    works("ipp88", "8.8.0");
}

#[test]
#[ignore = "make test LONG=1"]
fn ipyparallel_7_1_works_as_far_as_it_goes() {
    works("ipp71", "7.1.0");
}

fn works(name: &str, version: &str) {
    let venv = needed!(venv(name));
    for (start, way) in [
        ("overlapped", "exec"),
        ("overlapped", "fork"),
        ("sequential", "exec"),
    ] {
        let place = Place::with_venv(&venv);
        let options = [
            "--mode",
            "cluster-only",
            "-n",
            "2",
            "--start",
            start,
            "--engine-start",
            way,
        ];
        let mut job = Job::start(&place, &options);
        let record = job.wait_ready();
        assert_eq!(record["controller"]["ipyparallel"], version);
        let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
        let list = &record["engines"]["list"];
        assert_eq!(
            seen,
            json!({"ids": [0, 1], "pids": [list[0]["pid"], list[1]["pid"]]})
        );
        let transcript = job.stop();
        assert!(!transcript.contains("warning:"), "{transcript}");
    }
}

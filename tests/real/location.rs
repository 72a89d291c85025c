//! Where the connection files say that the controller is: clients on its host connect without a word, on others they are told why not.

use super::python;
use crate::support::{Job, Place, root, venv};
use serde_json::json;

#[test]
fn a_client_on_another_host_is_told_why_it_cannot_connect() {
    for (name, start) in [("main", "overlapped"), ("ipp88", "sequential")] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let options = ["--mode", "cluster-only", "-n", "1", "--start", start];
        let mut job = Job::start(&place, &options);
        job.wait_ready();
        let seen = python::ask(&place, &venv, "location.py", &["job_local"]);
        assert_eq!(seen["location"], seen["host"], "as ipcontroller writes it");
        assert_eq!(seen["here"]["told"], json!([]));
        let told = seen["elsewhere"]["told"][0].as_str().expect("a warning");
        assert!(
            told.starts_with(
                "Controller appears to be listening on localhost, but not on this machine."
            ),
            "{told}"
        );
        job.stop();
    }
}

#[test]
fn a_host_whose_name_nobody_resolves_costs_its_clients_nothing() {
    let venv = needed!(venv("main"));
    needed!(root());
    let place = Place::with_venv(&venv);
    let mut command = place.command("unshare");
    command
        .args([
            "--uts",
            "sh",
            "-c",
            "hostname no-such-host.invalid; exec \"$@\"",
            "sh",
        ])
        .arg(crate::support::binary())
        .args(["--mode", "cluster-only", "-n", "1"]);
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    assert_eq!(record["host"], "no-such-host.invalid");
    let seen = python::ask(&place, &venv, "location.py", &["job_local"]);
    assert_eq!(seen["location"], "127.0.0.1");
    assert_eq!(seen["here"]["told"], json!([]));
    job.stop();
}

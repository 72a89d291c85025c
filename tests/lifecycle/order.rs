//! In which order things start and stop, and what is left of them.

use super::{cluster, notebook};
use crate::support::{Job, Place, wait_fake};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;

/// The places of the lines with this beginning in the fakes' log.
fn places(log: &[String], beginning: &str) -> Vec<usize> {
    let found: Vec<usize> = (0..log.len())
        .filter(|place| log[*place].starts_with(beginning))
        .collect();
    assert!(!found.is_empty(), "no {beginning:?} in {log:#?}");
    found
}

fn assert_before(log: &[String], first: &str, then: &str) {
    let last = places(log, first).pop();
    let next = places(log, then).first().copied();
    assert!(last < next, "{then:?} came before {first:?} in {log:#?}");
}

#[test]
fn services_start_in_order_and_stop_in_the_reverse_order() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &["--start", "sequential"]);
    job.wait_ready();
    job.stop();
    let log: Vec<String> = place
        .fake_log()
        .into_iter()
        .map(|line| {
            line.replace("ipengine 0 ", "ipengine ")
                .replace("ipengine 1 ", "ipengine ")
        })
        .collect();
    assert_before(&log, "ipcontroller started", "ipengine started");
    assert_before(&log, "ipcontroller started", "jupyter-lab started");
    assert_before(&log, "jupyter-lab SIGTERM", "ipengine SIGTERM");
    assert_before(&log, "ipengine SIGTERM", "ipcontroller SIGTERM");
    assert_eq!(places(&log, "ipengine started").len(), 2);
    assert_eq!(places(&log, "ipengine SIGTERM").len(), 2);
    assert_eq!(log.len(), 8, "each is asked once: {log:#?}");
}

#[test]
fn all_start_at_once_and_stop_in_order() {
    let place = Place::with_fakes();
    // A controller that hangs keeps nobody from starting.
    let mut job = notebook(&place, &[("FAKE_CONTROLLER", "hang")], &[]);
    wait_fake(&place, "ipcontroller started");
    job.wait_line("engines ready");
    job.wait_line("jupyter ready");
    job.stop();
    let log = place.fake_log();
    assert_before(&log, "jupyter-lab SIGTERM", "ipengine SIGTERM");
    assert_before(&log, "ipengine SIGTERM", "ipcontroller SIGTERM");
}

#[test]
fn both_connection_files_are_whole_and_private_before_anything_runs() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[("FAKE_CONTROLLER", "hang")], &[]);
    wait_fake(&place, "ipcontroller started");
    for side in ["client", "engine"] {
        let file = job
            .profile()
            .join(format!("security/ipcontroller-ipjob0-{side}.json"));
        let mode = fs::metadata(&file).expect("a file").permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        let text = fs::read_to_string(&file).expect("text");
        let wiring: serde_json::Value = serde_json::from_str(&text).expect("whole");
        assert_eq!(wiring["interface"], "tcp://127.0.0.1");
    }
    job.stop();
}

#[test]
fn without_jupyter_it_is_ready_with_the_engines_and_tells_no_port() {
    let place = Place::with_fakes();
    let mut job = cluster(&place, &[], &[]);
    let record = job.wait_ready();
    assert_eq!(record["engines"]["registered"], 2);
    for engine in record["engines"]["list"].as_array().expect("a list") {
        let at = engine["registered_at"].as_f64();
        assert!(at.is_some_and(|at| at > 0.0), "{engine}");
    }
    assert!(record["port"].is_null() && record["url"].is_null() && record["token"].is_null());
    job.stop();
    // However many had ended when it was written.
    let last = job.record().expect("the last record");
    assert_eq!(last["engines"]["registered"], 2);
    assert_eq!(last["engines"]["missing"], serde_json::json!([]));
    assert!(!place.fake_log().iter().any(|line| line.contains("jupyter")));
}

/// What a person does with "Shut Down" in Jupyter's menu.
fn shut_down(port: u16) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("Jupyter listens");
    stream
        .write_all(b"POST /api/shutdown HTTP/1.0\r\n\r\n")
        .expect("it reads");
    let _ = stream.read_to_end(&mut Vec::new());
}

#[test]
fn jupyters_own_shut_down_ends_the_job_as_asked() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &[]);
    let record = job.wait_ready();
    let port = record["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    shut_down(port.expect("a port"));
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    assert!(!transcript.contains("error"), "{transcript}");
    job.assert_nothing_left();
    let record = job.record().expect("a record");
    assert_eq!(record["reason"], "jupyter was shut down by its user");
    assert_eq!(record["exit"], 0);
    let log = place.fake_log();
    assert_before(&log, "jupyter-lab shut down", "ipengine SIGTERM");
    assert_before(&log, "ipengine SIGTERM", "ipcontroller SIGTERM");
}

fn heads(job: &Job, log: &str) -> usize {
    let text = fs::read_to_string(job.profile().join("log").join(log)).expect("a log");
    text.lines()
        .filter(|line| line.starts_with("==== ipjob"))
        .count()
}

#[test]
fn a_second_run_appends_to_the_logs_of_the_first() {
    let place = Place::with_fakes();
    for run in 1..=2 {
        let mut job = notebook(&place, &[], &[]);
        job.wait_ready();
        job.stop();
        for log in [
            "ipjob-controller.log",
            "ipjob-engine-0.log",
            "ipjob-engine-1.log",
            "ipjob-jupyter.log",
        ] {
            assert_eq!(heads(&job, log), run, "{log}");
        }
    }
}

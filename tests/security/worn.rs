//! What services are worn down by and nothing keeps away, ipjob sees and says: descriptors that are all in use, logs without an end.

use super::{BOB, as_bob, strangers};
use crate::healing::{pid_of, send};
use crate::real::python;
use crate::support::{Job, Place, binary, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Bytes that all logs of a job may have together.
const TOTAL: u64 = 512 * 1024 * 1024;

/// A log that was flooded is within its part of that; its length.
fn within_bounds(log: &Path, logs: u64) -> u64 {
    let most = TOTAL / logs;
    wait_for("the log to be cut", || {
        let length = fs::metadata(log).expect("a log").len();
        (length <= most).then_some(length)
    })
}

#[test]
fn services_without_free_descriptors_degrade_the_job_until_they_have_some_again() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // Nothing guards a front end that is no script of Python's, nor a controller without encryption.
    place.script("jupyter-lab", r#"exec "$REAL" "$@""#);
    let mut command = place.command("sh");
    command
        .args(["-c", "ulimit -n 1024; exec \"$0\" \"$@\""])
        .arg(binary())
        .args(["--mode", "notebook", "-n", "1", "--curve", "off"])
        .env("REAL", venv.join("bin/jupyter-lab"));
    let mut job = Job::spawn(&place, "job_local", command);
    let record = job.wait_ready();
    let nothing = json!({"controller": null, "jupyter": null});
    assert_eq!(record["hindered"], nothing);
    let mut all = strangers::ports(&job, &["registration"]);
    all.push(record["port"].to_string());
    let mut bob = needed!(as_bob(strangers::FLOOD));
    let mut bob = bob.arg("idle").args(&all).spawn().expect("python");
    let hub = record["controller"]["pid"].to_string();
    for (service, role) in [
        ("controller", format!("the hub, pid {hub})")),
        ("jupyter", "pid ".to_owned()),
    ] {
        let line = job.wait_line(&format!("{service}: 1,0"));
        let parts = [
            " of 1,024 descriptors in use (",
            &role,
            &format!("; uid {BOB} has "),
            "the job is degraded",
        ];
        for part in parts {
            assert!(line.contains(part), "{part}: {line}");
        }
    }
    // The line comes before the record that says it.
    let degraded = wait_for("a Jupyter that is hindered", || {
        job.record()
            .filter(|record| record["hindered"]["jupyter"].is_string())
    });
    assert_eq!(degraded["state"], "degraded");
    let hindered = degraded["hindered"]["jupyter"].as_str().expect("a text");
    let status = place.ipjob(["status"]).output().expect("ipjob runs");
    let status = String::from_utf8_lossy(&status.stdout).into_owned();
    assert!(
        status.contains("degraded") && status.contains(hindered),
        "{status}"
    );
    let mut opened = String::new();
    let mut stdout = BufReader::new(bob.stdout.take().expect("piped"));
    stdout.read_line(&mut opened).expect("a line");
    drop(bob.stdin.take());
    assert!(bob.wait().expect("our child").success());
    for service in ["controller", "jupyter"] {
        job.wait_line(&format!("{service} ready again ("));
    }
    let record = job.wait_ready();
    assert_eq!(record["hindered"], nothing);
    assert_eq!(
        record["restarts"],
        json!({"controller": 0, "engines": 0, "jupyter": 0})
    );
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], json!([0]));
    // Jupyter's own words on it fill nothing.
    let log = job.profile().join("log/ipjob-jupyter.log");
    within_bounds(&log, 3);
    let said = job.stop();
    for service in ["controller", "jupyter"] {
        let told = said.matches(&format!("{service}: 1,0")).count();
        assert_eq!(told, 1, "{said}");
    }
}

#[test]
fn what_a_flood_leaves_of_a_log_is_its_begin_and_its_end() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "2"]);
    let record = job.wait_ready();
    let log = job.profile().join("log/ipjob-engine-0.log");
    let begin = fs::read_to_string(&log).expect("a log");
    let flood = python::run(
        &place,
        &venv,
        "../security/pour.py",
        &["job_local", "0", "900"],
    );
    assert_eq!(flood, "900\n");
    within_bounds(&log, 3);
    let path = log.display().to_string();
    job.wait_line(&format!("{path} has grown too long"));
    let mut file = fs::File::open(&log).expect("a log");
    let mut head = vec![0; begin.len()];
    file.read_exact(&mut head).expect("its begin");
    assert_eq!(String::from_utf8_lossy(&head), begin);
    // On a busy machine an engine that was held up for so long warns of it behind them.
    file.seek(SeekFrom::End(-4096)).expect("its end");
    let mut end = String::new();
    file.read_to_string(&mut end).expect("text");
    assert!(end.contains("\nthe last words\n"), "{end}");
    let whole = fs::read(&log).expect("a log");
    let marks = whole
        .split(|byte| *byte == b'\n')
        .filter(|line| line.starts_with(b"==== ipjob: "));
    assert_eq!(marks.count(), 1);
    // What comes next is read behind it.
    send(
        pid_of(&record["engines"]["list"][0]["pid"]),
        Signal::SIGKILL,
    );
    job.wait_line("the last words");
    let record = job.wait_state(&["degraded"]);
    let warnings: Vec<&Value> = record["warnings"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    let told = warnings.iter().filter(|text| {
        text.as_str()
            .is_some_and(|text| text.contains("grown too long"))
    });
    assert_eq!(told.count(), 1, "{warnings:?}");
    job.stop();
}

//! Kernels hold hours of work: nothing that happens to engines or controller ends Jupyter, and `ipjob restart` brings them back.

use super::{restart, with_client};
use crate::healing::{answer_of, ask, pid_of, send};
use crate::support::{Job, Place, venv};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

const COUNT: &str = "rc.wait_for_engines(2, timeout=60)\nprint(rc[:].apply_sync(lambda: 1))";

fn pids(record: &Value) -> Vec<u32> {
    let list = record["engines"]["list"].as_array().expect("a list");
    list.iter().map(|engine| pid_of(&engine["pid"])).collect()
}

/// Jupyter is what it was, and answers.
fn assert_jupyter_lives(before: &Value, job: &Job) {
    let record = job.record().expect("a record");
    assert_eq!(record["url"], before["url"]);
    assert_eq!(record["restarts"]["jupyter"], 0, "{}", job.transcript());
    let token = before["token"].as_str().expect("a token");
    let answer = answer_of(ask(before, token));
    assert!(answer.contains("200 OK"), "{answer}");
}

#[test]
fn outlives_its_engines_and_gets_them_back_on_request() {
    let venv = needed!(venv("main"));
    for way in ["exec", "fork"] {
        let place = Place::with_venv(&venv);
        // The hub drops a silent engine after 30 s by default.
        let patience = "--controller-arg=--HeartMonitor.max_heartmonitor_misses=20";
        let mut job = Job::start(
            &place,
            &[
                "--mode",
                "notebook",
                "-n",
                "2",
                "--engine-start",
                way,
                patience,
            ],
        );
        let before = job.wait_ready();
        let incarnation = before["incarnation"]["id"].as_str().expect("an id");

        // A cell ends the whole cluster.
        with_client(&place, &venv, "rc.shutdown(hub=True)");
        job.wait_line("the engines were shut down by a client; jupyter continues without engines; `ipjob restart` restarts them");
        job.wait_line(
            "controller was shut down by a client; jupyter continues without a controller",
        );
        job.wait_state(&["degraded"]);
        let (code, lines) = restart(&place, Some(incarnation), &[]);
        assert_eq!(code, 0, "{lines}\n{}", job.transcript());
        assert_eq!(with_client(&place, &venv, COUNT).trim(), "[1, 1]");
        assert_jupyter_lives(&before, &job);

        // All engines die at once, as of want of memory.
        for pid in pids(&job.wait_ready()) {
            send(pid, Signal::SIGKILL);
        }
        job.wait_line("the last engine ended");
        job.wait_state(&["degraded"]);
        let (code, lines) = restart(&place, None, &["job_local"]);
        assert_eq!(code, 0, "{lines}\n{}", job.transcript());
        assert_eq!(with_client(&place, &venv, COUNT).trim(), "[1, 1]");

        // They hang: those that live are ended first.
        let hanging = pids(&job.wait_ready());
        send(hanging[0], Signal::SIGSTOP);
        let (code, lines) = restart(&place, None, &["job_local", "--all"]);
        assert_eq!(code, 0, "{lines}\n{}", job.transcript());
        let record = job.wait_ready();
        let again = pids(&record);
        assert!(hanging.iter().all(|pid| !again.contains(pid)), "{again:?}");
        assert_eq!(with_client(&place, &venv, COUNT).trim(), "[1, 1]");
        assert_eq!(record["request"]["state"], "done");
        assert_jupyter_lives(&before, &job);
        job.stop();
    }
}

#[test]
fn that_nobody_uses_ends_as_idle_also_without_engines_and_controller() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "notebook", "-n", "2", "--idle-timeout", "10s"];
    let mut job = Job::start(&place, &args);
    job.wait_ready();
    with_client(&place, &venv, "rc.shutdown(hub=True)");
    job.wait_line("jupyter continues without a controller");
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    job.assert_nothing_left();
    let record = job.record().expect("a record");
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("idle for 10 s"), "{reason}");
}

#[test]
fn a_request_for_another_life_or_by_another_name_does_nothing() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "1"]);
    let record = job.wait_ready();
    let life = record["incarnation"]["id"].as_str().expect("an id");
    let (code, lines) = restart(&place, Some("host.none.0.0123456789abcdef"), &[]);
    assert_eq!(code, 5, "{lines}");
    let (code, lines) = restart(&place, None, &["job_of_nobody"]);
    assert_eq!(code, 5, "{lines}");
    let file = place.profile("job_local").join("ipjob-runtime/request");
    let text = fs::read_to_string(&file).expect("ipjob made it");
    assert_eq!(text, format!("{life}\n"));
    // What an earlier life was asked for, then what this one is: only the second is heard.
    fs::write(&file, "host.none.0.0123456789abcdef\nrestart all 1\n").expect("a request");
    let (code, lines) = restart(&place, None, &[]);
    assert_eq!(code, 1, "{lines}");
    assert!(lines.contains("is another ipjob's"), "{lines}");
    // An earlier one that found the disk full has emptied it.
    fs::write(&file, "").expect("an empty file");
    let (code, lines) = restart(&place, None, &[]);
    assert_eq!(code, 0, "{lines}");
    let asked = job.transcript().matches("`ipjob restart`: ").count();
    assert_eq!(asked, 1, "{}", job.transcript());
    assert_eq!(
        job.record().expect("a record")["request"]["text"],
        json!("1 of 1 engines are running")
    );
    job.stop();
    let (code, lines) = restart(&place, None, &["job_local"]);
    assert_eq!(code, 5, "{lines}");
}

//! Sites whose Python prints when it starts: a sitecustomize that greets.

use super::python;
use crate::support::{Job, Place, carriers, command_line, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use std::fs;

/// A job whose every Python greets.
fn start(place: &Place, more: &[&str]) -> Job {
    start_with(place, "", more)
}

/// A job whose every Python greets and does this.
fn start_with(place: &Place, further: &str, more: &[&str]) -> Job {
    let site = place.dir().join("site");
    fs::create_dir_all(&site).expect("made");
    let text = format!("print('Welcome to the site')\n{further}");
    fs::write(site.join("sitecustomize.py"), text).expect("written");
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "2"].iter().chain(more));
    command.env("PYTHONPATH", site);
    Job::spawn(place, "job_local", command)
}

fn nannies(record: &Value) -> usize {
    let all = carriers(record["incarnation"]["id"].as_str().expect("an id")).into_iter();
    all.filter(|(_, line)| line.contains("ipyparallel.engine.nanny"))
        .count()
}

#[test]
fn engines_that_are_forked_have_their_nannies() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = start(&place, &["--engine-start", "fork"]);
    let record = job.wait_ready();
    assert_eq!(nannies(&record), 3, "one of each, and what forks them");
    let hub = record["controller"]["pid"].as_u64().expect("a pid");
    let hub = command_line(u32::try_from(hub).expect("a pid"));
    assert!(
        hub.contains("\"signals\":0"),
        "nannies send the signals: {hub}"
    );
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], json!([0, 1]));
    for id in 0..2 {
        let log = job.profile().join(format!("log/ipjob-engine-{id}.log"));
        let log = fs::read_to_string(log).expect("a log");
        assert!(!log.contains("Welcome"), "it was printed once: {log}");
    }
    let transcript = job.stop();
    assert!(!transcript.contains("without nannies"), "{transcript}");
}

#[test]
fn engines_that_are_started_one_by_one_go_without_nannies_which_is_said() {
    for name in ["main", "ipp88"] {
        let venv = needed!(venv(name));
        let place = Place::with_venv(&venv);
        let mut job = start(&place, &["--engine-start", "exec"]);
        let line = job.wait_line("engines start without nannies: the Python of ");
        assert!(line.contains("prints \"Welcome to the site\""), "{line}");
        let record = job.wait_ready();
        assert_eq!(nannies(&record), 0);
        let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
        assert_eq!(seen["ids"], json!([0, 1]));
        job.stop();
    }
}

/// What signals.py tells of engines that get all signals.
fn signalled() -> Value {
    json!({
        "by_name": ["KeyboardInterrupt", true], "by_number": ["KeyboardInterrupt", true], "px": [0, 0],
        "no_signal": "AttributeError", "too_high": true, "left": [0],
    })
}

#[test]
fn engines_that_turn_out_to_be_no_forks_get_the_signals_of_clients() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let hindrance = "import builtins, socket\nbuiltins.kept = socket.socket()\n";
    let mut job = start_with(&place, hindrance, &["--engine-start", "fork"]);
    let line = job.wait_line("engines that are not forked start without nannies: the Python of ");
    assert!(line.contains("prints \"Welcome to the site\""), "{line}");
    let record = job.wait_ready();
    assert_eq!(nannies(&record), 0);
    assert_eq!(record["engines"]["start"], "exec");
    // Another controller is told of them as well.
    let hub = i32::try_from(record["controller"]["pid"].as_i64().expect("a pid")).expect("a pid");
    kill(Pid::from_raw(hub), Signal::SIGKILL).expect("it lives");
    job.wait_line("the hub knows 2 engines again");
    let record = wait_for("the next controller", || {
        let record = job.record()?;
        let again = record["controller"]["pid"] != hub && record["state"] == "ready";
        again.then_some(record)
    });
    assert_eq!(record["restarts"]["controller"], 1);
    let found = python::ask(&place, &venv, "signals.py", &["job_local"]);
    assert_eq!(found, signalled());
    job.stop();
}

#[test]
fn an_engine_that_starts_again_beside_forks_gets_the_signals_of_clients() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let further = ["--engine-start", "fork", "--respawn", "engine", "-v"];
    let mut job = start(&place, &further);
    let record = job.wait_ready();
    let engine = &record["engines"]["list"][0]["pid"];
    let engine = i32::try_from(engine.as_i64().expect("a pid")).expect("a pid");
    kill(Pid::from_raw(engine), Signal::SIGKILL).expect("it lives");
    job.wait_line("engine 0 restarted");
    job.wait_line("engines that are not forked start without nannies: the Python of ");
    wait_for("the engine", || {
        let record = job.record()?;
        (record["restarts"]["engines"] == 1 && record["state"] == "ready").then_some(())
    });
    let mut found = python::ask(&place, &venv, "signals.py", &["job_local"]);
    // The other one, which it kills at the end, may be back already.
    found["left"] = json!([0]);
    assert_eq!(found, signalled());
    job.stop();
}

#[test]
fn nannies_that_are_insisted_on_are_refused_with_the_reason() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = start(&place, &["--nanny", "on", "--engine-start", "exec"]);
    let (code, transcript) = job.finish();
    assert_eq!(code, 4, "{transcript}");
    assert!(
        transcript.contains("error: --nanny on, but the Python of "),
        "{transcript}"
    );
}

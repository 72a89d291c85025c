//! Services that end, break or fall silent after the job was ready.

use super::{cluster, engine_pid, notebook, process_of, runs, signal};
use crate::support::{Job, Place, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;

/// Waits for the end and checks that it is one by a failed service: in order, exit code 1, named.
fn assert_fails(job: &mut Job, named: &str) -> (Value, String) {
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    let error = format!("error: {named}");
    assert!(transcript.contains(&error), "no {error:?} in {transcript}");
    job.assert_nothing_left();
    let record = job.record().expect("a record");
    assert_eq!(record["exit"], 1);
    let reason = record["reason"].as_str().expect("a reason");
    assert!(reason.starts_with(named), "{reason}");
    (record, transcript)
}

/// Waits until the job is ready again and checks that all but the service that was started again is as it was.
fn assert_replaced(job: &mut Job, before: &Value, name: &str) -> Value {
    job.wait_line(&format!("{name} ready again"));
    let after = wait_for("the record of the restart", || {
        let record = job.record()?;
        (record["restarts"][name] == 1 && record["state"] == "ready").then_some(record)
    });
    for same in ["url", "token", "port"] {
        assert_eq!(after[same], before[same]);
    }
    assert_eq!(after["engines"], before["engines"]);
    for id in 0..2 {
        assert!(runs(engine_pid(&after, id)), "engine {id} lives on");
    }
    after
}

#[test]
fn a_service_that_breaks_is_started_again_and_its_last_words_are_told() {
    for (program, name) in [("jupyter-lab", "jupyter"), ("ipcontroller", "controller")] {
        let place = Place::with_fakes();
        let mut job = notebook(&place, &[], &[]);
        let record = job.wait_ready();
        let pid = process_of(&record, program);
        signal(pid, Signal::SIGUSR1);
        let after = assert_replaced(&mut job, &record, name);
        let line = format!(
            "{name} (pid {pid}) ended with exit code 1: RuntimeError: a test broke it; restarting it (1 of 5)"
        );
        assert_eq!(after["warnings"][0], line);
        let transcript = job.stop();
        assert!(
            transcript.contains("| the last words of a fake"),
            "{transcript}"
        );
    }
}

#[test]
fn a_controller_with_a_dead_or_stopped_process_is_replaced_and_its_ports_are_named() {
    for (sent, fault) in [
        (Signal::SIGKILL, "has died"),
        (Signal::SIGSTOP, "is stopped (SIGSTOP)"),
    ] {
        let place = Place::with_fakes();
        let mut job = notebook(&place, &[], &[]);
        let record = job.wait_ready();
        let children = fs::read_to_string(job.profile().join("fake-children")).expect("children");
        let line = children
            .lines()
            .rfind(|line| line.ends_with("task engine-task"));
        let pid = line
            .and_then(|line| line.split(' ').next()?.parse().ok())
            .expect("the task scheduler");
        let file = job.profile().join("security/ipcontroller-client.json");
        let text = fs::read(&file).expect("a file");
        let client: Value = serde_json::from_slice(&text).expect("whole");
        signal(pid, sent);
        // What dies may take the files along.
        fs::remove_file(&file).expect("a file");
        let line = job.wait_line("the controller's process for ");
        let ports = format!("client task port {}", client["task"]);
        assert!(line.contains(&ports), "no {ports:?} in {line}");
        assert!(line.contains(&format!("(pid {pid}) {fault}")), "{line}");
        assert_replaced(&mut job, &record, "controller");
        assert!(!runs(pid), "what is left of it is ended");
        let again: Value =
            serde_json::from_slice(&fs::read(&file).expect("a file")).expect("whole");
        assert_eq!(again["task"], client["task"]);
        assert_eq!(again["key"], client["key"]);
        job.stop();
    }
}

#[test]
fn one_engine_less_is_named_and_the_rest_goes_on() {
    for (how, end, words) in [
        (Signal::SIGUSR1, "exit code 1", "| the last words of a fake"),
        (Signal::SIGKILL, "signal 9 (SIGKILL)", "(nothing in "),
    ] {
        let place = Place::with_fakes();
        let mut job = notebook(&place, &[], &[]);
        let record = job.wait_ready();
        let pid = engine_pid(&record, 1);
        signal(pid, how);
        let record = job.wait_state(&["degraded"]);
        let line = format!("engine 1 (pid {pid}) ended with {end}");
        assert_eq!(record["warnings"], json!([line]));
        assert_eq!(record["engines"]["registered"], 1);
        assert_eq!(record["engines"]["missing"], json!([1]));
        assert!(runs(engine_pid(&record, 0)), "the other engine goes on");
        assert!(runs(process_of(&record, "jupyter-lab")));
        let transcript = job.stop();
        assert!(
            transcript.contains(&format!("warning: {line}")),
            "{transcript}"
        );
        assert!(transcript.contains(words), "no {words:?} in {transcript}");
    }
}

#[test]
fn the_last_engines_end_is_the_jobs_where_nobody_else_uses_it() {
    let place = Place::with_fakes();
    let mut job = cluster(&place, &[], &[]);
    let record = job.wait_ready();
    signal(engine_pid(&record, 0), Signal::SIGKILL);
    job.wait_state(&["degraded"]);
    signal(engine_pid(&record, 1), Signal::SIGUSR1);
    let (_, transcript) = assert_fails(&mut job, "the last engine ended");
    assert!(
        transcript.contains("| the last words of a fake"),
        "{transcript}"
    );
}

/// Plays the hub, which writes its list anew at every change.
fn list_engines(job: &Job, ids: &[u32]) {
    let engines: serde_json::Map<String, Value> = ids
        .iter()
        .map(|id| (id.to_string(), json!(format!("uuid-{id}"))))
        .collect();
    let list = json!({"engines": engines, "next_id": 2});
    fs::write(
        job.profile().join("log/enginesipjob0.json"),
        list.to_string(),
    )
    .expect("a list");
}

#[test]
fn an_engine_that_the_hub_drops_is_named_and_counts_again_when_it_is_back() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &[]);
    let record = job.wait_ready();
    list_engines(&job, &[0]);
    let line = job.wait_line("the hub has dropped");
    assert!(line.contains("warning: the hub has dropped engine 1 although the process lives"));
    let record_after = job.wait_state(&["degraded"]);
    assert_eq!(record_after["engines"]["missing"], json!([1]));
    assert!(runs(engine_pid(&record, 1)));
    list_engines(&job, &[0, 1]);
    let back = job.wait_ready();
    assert_eq!(back["engines"]["missing"], json!([]));
    assert_eq!(back["engines"]["registered"], 2);
    wait_for("the line", || {
        job.transcript()
            .contains("engines 2/2 registered")
            .then_some(())
    });
    job.stop();
}

#[test]
fn an_engine_that_ends_or_is_dropped_is_replaced_where_that_was_asked_for() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &["--respawn", "engine"]);
    let before = job.wait_ready();
    let back = |job: &Job, times: usize| {
        wait_for("the engine's return", || {
            let record = job.record()?;
            let again = record["restarts"]["engines"] == times && record["state"] == "ready";
            again.then_some(record)
        })
    };
    signal(engine_pid(&before, 1), Signal::SIGKILL);
    list_engines(&job, &[0]);
    let first = back(&job, 1);
    assert_eq!(first["engines"]["list"][0], before["engines"]["list"][0]);
    assert_ne!(engine_pid(&first, 1), engine_pid(&before, 1));
    assert_eq!(first["engines"]["registered"], 2);
    // Frozen for the hub, and alive.
    list_engines(&job, &[0]);
    job.wait_line("the hub has dropped engine 1 although the process lives: it was silent too long, and is replaced");
    let second = back(&job, 2);
    assert!(!runs(engine_pid(&first, 1)));
    assert!(runs(engine_pid(&second, 1)));
    job.stop();
}

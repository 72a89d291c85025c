//! The controller dies, as a whole or in part.

use super::{Steady, children_of, pid_of, send, wait_replaced};
use crate::support::{Job, Place, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::time::Instant;

const ENGINES: &str = "8";

/// Ends one process of the controller after the other, by its place among the nine (0 is the main one), while a client computes.
fn replace(version: &str, victims: &[(usize, Signal)]) {
    let venv = needed!(venv(version));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", ENGINES]);
    let begun = job.wait_ready();
    let mut client = Steady::open(&place, &venv);
    for (times, (victim, signal)) in (1..).zip(victims) {
        let record = job.record().expect("a record");
        let main = pid_of(&record["controller"]["pid"]);
        let nine: Vec<u32> = [main].into_iter().chain(children_of(main)).collect();
        assert_eq!(nine.len(), 9, "{nine:?}");
        let fallen = Instant::now();
        send(nine[*victim], *signal);
        // Said as soon as it is found; the restart follows after a pause that grows.
        let said = format!("restarting it ({times} of 5)");
        job.wait_line(&said);
        let found = fallen.elapsed();
        let record = wait_replaced(&job, "controller", times);
        println!(
            "{version} process {victim} {signal}: found in {found:.2?}, ready after {:.2?}",
            fallen.elapsed()
        );
        for pid in nine {
            wait_for("the end of the old controller", || {
                let old = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                old.is_err().then_some(())
            });
        }
        assert_eq!(record["engines"]["list"], begun["engines"]["list"]);
        assert_eq!(record["engines"]["registered"], 8);
        let seen = client.check();
        println!("{seen}");
        assert_whole(&seen);
    }
    let record = job.record().expect("a record");
    assert_eq!(
        record["restarts"],
        json!({"controller": victims.len(), "engines": 0, "jupyter": 0})
    );
    job.stop();
}

/// Nothing that the engines had is lost, wrong or done twice, for the open client and for a new one.
fn assert_whole(seen: &Value) {
    for client in ["open", "new"] {
        let expected = json!({
            "ids": [0, 1, 2, 3, 4, 5, 6, 7], "same_engines": true, "data": true, "balanced": true, "broadcast": true,
            "twice": 0, "forgotten": 0,
        });
        assert_eq!(seen[client], expected, "{seen}");
    }
    assert_eq!(seen["wrong"], 0, "{seen}");
}

#[test]
fn the_hub_and_half_of_the_schedulers_are_replaced_while_a_client_computes() {
    replace(
        "main",
        &[0, 1, 2, 3, 4].map(|victim| (victim, Signal::SIGKILL)),
    );
}

#[test]
fn the_other_schedulers_and_a_stopped_hub_are_replaced_while_a_client_computes() {
    let mut victims = [5, 6, 7, 8]
        .map(|victim| (victim, Signal::SIGKILL))
        .to_vec();
    victims.push((0, Signal::SIGSTOP));
    replace("main", &victims);
}

#[test]
fn a_controller_of_ipyparallel_8_is_replaced_while_a_client_computes() {
    let victims = [
        (0, Signal::SIGKILL),
        (8, Signal::SIGKILL),
        (4, Signal::SIGSTOP),
    ];
    replace("ipp88", &victims);
}

#[test]
fn a_controller_whose_ports_are_from_a_range_and_that_took_its_files_along_is_replaced() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let args = ["--mode", "cluster-only", "-n", "1", "--controller-ports"];
    let range = crate::support::free_ports(20);
    let mut job = Job::start(&place, &[&args[..], &[range.as_str()]].concat());
    let record = job.wait_ready();
    let file = record["controller"]["client_file"]
        .as_str()
        .expect("a path");
    let client = std::fs::read_to_string(file).expect("a file");
    // Asked to end, ipcontroller removes its connection files.
    send(pid_of(&record["controller"]["pid"]), Signal::SIGTERM);
    wait_replaced(&job, "controller", 1);
    assert_eq!(std::fs::read_to_string(file).expect("a file"), client);
    // The hub writes its list again while it reads it: the next one must not lose an engine.
    let record = job.record().expect("a record");
    send(pid_of(&record["controller"]["pid"]), Signal::SIGKILL);
    let record = wait_replaced(&job, "controller", 2);
    assert_eq!(record["engines"]["registered"], 1);
    job.stop();
}

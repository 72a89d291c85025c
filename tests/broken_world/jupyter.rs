//! Jupyter servers that end, are silent or refuse, and ports that are taken.

use super::{LIMIT, NOTEBOOK, start};
use crate::support::{Job, Needed, Place, program, root};
use nix::sched::{CloneFlags, unshare};
use std::fs;
use std::net::TcpListener;
use std::process::Command;

/// Starts with a Jupyter that behaves so.
fn with_jupyter(place: &Place, how: &str, args: &[&str]) -> Job {
    start(place, &[("FAKE_JUPYTER", how)], &[NOTEBOOK, args])
}

/// A start that this Jupyter must spoil; returns the ports that it was started on.
fn fails(how: &str, args: &[&str], code: i32, parts: &[&str]) -> Vec<u64> {
    let place = Place::with_fakes();
    let mut job = with_jupyter(&place, how, args);
    job.fails(code, parts);
    job.assert_nothing_left();
    place.assert_deserted();
    ports_tried(&place)
}

fn ports_tried(place: &Place) -> Vec<u64> {
    place
        .fake_log()
        .iter()
        .filter_map(|line| line.strip_prefix("jupyter-lab started on ")?.parse().ok())
        .collect()
}

#[test]
fn a_jupyter_that_exits_at_once_is_told_with_its_last_words() {
    let parts = [
        "jupyter (pid ",
        "ended with exit code 5 before the job was ready",
        "cause: the fake jupyter gives up",
    ];
    fails("exit", &[], 3, &parts);
}

#[test]
fn a_jupyter_that_says_nothing_is_told_so_when_the_time_is_up() {
    let parts = [
        "jupyter was not ready within 1 s",
        "cause: it has not written that it serves port",
        "--start-timeout jupyter=",
    ];
    fails("silent", &["--start-timeout", "jupyter=1s"], 3, &parts);
}

#[test]
fn a_jupyter_that_never_answers_is_told_so_when_the_time_is_up() {
    let limit = format!("jupyter={LIMIT}");
    let parts = [
        "jupyter was not ready within 5 s",
        "cause: GET api/status is not answered",
    ];
    fails("no-answer", &["--start-timeout", &limit], 3, &parts);
}

#[test]
fn a_jupyter_that_refuses_our_token_is_told_with_where_to_look() {
    let parts = ["jupyter answers 403 to the token", "Jupyter configuration"];
    fails("forbidden", &[], 3, &parts);
}

#[test]
fn a_jupyter_that_finds_its_port_taken_ends_the_start_and_is_told_with_its_last_words() {
    let parts = ["jupyter (pid ", "exit code 1", "is not available"];
    let tried = fails("port-taken", &[], 3, &parts);
    assert_eq!(tried.len(), 1, "{tried:?}");
}

#[test]
fn a_port_that_is_held_is_told_with_the_holder() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port().to_string();
    let parts = [
        &format!("--jupyter-port {port} cannot be used"),
        &format!("port {port} is held by pid {}", std::process::id()),
        "choose another port",
    ];
    for option in ["--jupyter-port", "--port-range"] {
        let tried = fails("", &[option, &port], 4, &parts.map(|part| part as &str));
        assert!(tried.is_empty(), "{tried:?}");
    }
}

/// Low ports are root's: in a network of this test's own where the system, as in many containers, gives every port to every user.
fn ports_for_root() -> Needed<()> {
    let first = fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    if first.is_ok_and(|first| first.trim().parse::<u16>().is_ok_and(|first| first < 10)) {
        root()?;
        unshare(CloneFlags::CLONE_NEWNET).expect("we are root");
        let up = Command::new(program(&["/sbin", "/usr/sbin", "/usr/bin"], &["ip"])?)
            .args(["link", "set", "lo", "up"])
            .status();
        assert!(up.is_ok_and(|status| status.success()));
    }
    Ok(())
}

#[test]
fn ports_that_need_root_are_told_as_such() {
    needed!(ports_for_root());
    let place = Place::with_fakes();
    let args = [NOTEBOOK, &["--port-range", "1-9"]].concat();
    let mut job = Job::spawn(&place, "job_local", place.ipjob_as_user(&args));
    let parts = [
        "no free port in --port-range 1-9",
        "Permission denied",
        "need root",
    ];
    job.fails(4, &parts);
    job.assert_nothing_left();
    place.assert_deserted();
    assert!(ports_tried(&place).is_empty());
}

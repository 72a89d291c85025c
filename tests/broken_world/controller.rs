//! Controllers that end, hang, lie or lose a part of themselves.

use super::{CLUSTER, LIMIT, start};
use crate::support::{Job, Place, wait_fake};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::net::TcpListener;

/// Starts with a controller that behaves so.
fn with_controller(place: &Place, how: &str, args: &[&str]) -> Job {
    start(place, &[("FAKE_CONTROLLER", how)], &[CLUSTER, args])
}

/// A start that this controller must spoil, alone or beside all else.
fn fails(how: &str, args: &[&str], code: i32, parts: &[&str]) {
    fails_first(how, args, code, parts);
    fails_beside_engines(how, args, code, parts);
}

/// A start that this controller must spoil before anything else is started.
fn fails_first(how: &str, args: &[&str], code: i32, parts: &[&str]) {
    let place = Place::with_fakes();
    let args = [args, &["--start", "sequential"]].concat();
    let mut job = with_controller(&place, how, &args);
    job.fails(code, parts);
    job.assert_nothing_left();
    place.assert_deserted();
    let engines = place.fake_log();
    assert!(!engines.iter().any(|line| line.starts_with("ipengine")));
}

/// A start that this controller must spoil while engines start beside it.
fn fails_beside_engines(how: &str, args: &[&str], code: i32, parts: &[&str]) -> String {
    let place = Place::with_fakes();
    let mut job = with_controller(&place, how, args);
    let transcript = job.fails(code, parts);
    job.assert_nothing_left();
    place.assert_deserted();
    transcript
}

/// Kills the fake controller's process for a port.
fn kill_child(job: &Job, port: &str) -> Pid {
    let children = fs::read_to_string(job.profile().join("fake-children")).expect("a list");
    let pid = children
        .lines()
        .filter_map(|line| line.split_once(' '))
        .find(|(_, ports)| ports.split(' ').any(|name| name == port))
        .and_then(|(pid, _)| pid.parse().ok())
        .map(Pid::from_raw)
        .expect("a child for it");
    kill(pid, Signal::SIGKILL).expect("it lives");
    pid
}

#[test]
fn a_controller_that_exits_at_once_is_told_with_its_last_words() {
    let parts = [
        "controller (pid ",
        "ended with exit code 3 before the job was ready",
        "cause: the fake controller gives up",
    ];
    fails("exit", &[], 3, &parts);
}

#[test]
fn a_controller_that_lacks_a_package_is_something_missing_here() {
    let parts = [
        "controller (pid ",
        "cause: ModuleNotFoundError: No module named 'ipyparallel_that_is_not_here'",
        "a Python package is missing",
    ];
    fails("import-error", &[], 4, &parts);
}

#[test]
fn a_controller_that_writes_no_file_is_told_so_when_the_time_is_up() {
    let parts = [
        "controller was not ready within 1 s",
        "cause: the client file is missing or empty",
        "--start-timeout controller=",
    ];
    let limit = ["--start-timeout", "controller=1s"];
    fails_first("hang", &limit, 3, &parts);
    let parts = [
        "controller was not ready within 1 s",
        "cause: it listens on none of its 15 ports",
        "--start-timeout controller=",
    ];
    fails_beside_engines("hang", &limit, 3, &parts);
}

#[test]
fn the_limit_of_the_whole_start_holds_for_the_controller_too() {
    let parts = ["controller was not ready within 1 s", "cause: "];
    fails("hang", &["--start-timeout", "1s"], 3, &parts);
}

#[test]
fn half_a_file_is_not_taken_for_a_file() {
    let limit = format!("controller={LIMIT}");
    let parts = [
        "controller was not ready within 5 s",
        "cause: the client file is not complete",
    ];
    fails_first("half-file", &["--start-timeout", &limit], 3, &parts);
}

#[test]
fn a_scheduler_that_dies_before_its_port_is_open_is_found_though_both_files_are_whole() {
    let parts = [
        "a process of the controller (pid ",
        "died before client mux port ",
        "engine mux port ",
        "was open",
    ];
    fails("dead-child", &[], 3, &parts);
}

#[test]
fn a_controller_with_another_key_is_somebody_elses() {
    let parts = [
        "another controller writes into this profile",
        "the client file has a key that is not ours",
        "--profile",
    ];
    fails_first("other-key", &[], 3, &parts);
}

#[test]
fn a_controller_port_that_somebody_else_holds_is_named_with_the_holder() {
    let held = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = held.local_addr().expect("bound").port();
    let how = format!("busy-port:{port}");
    let told = format!(
        "the controller's client mux port {port} is held by pid {}",
        std::process::id()
    );
    fails_first(&how, &[], 3, &[&told, "--controller-ports"]);
}

/// How often this controller was started.
fn controllers(place: &Place) -> usize {
    let log = place.fake_log();
    log.iter()
        .filter(|line| *line == "ipcontroller started")
        .count()
}

#[test]
fn a_controller_that_finds_a_port_taken_ends_the_start() {
    let place = Place::with_fakes();
    let mut job = with_controller(&place, "taken", &[]);
    job.fails(3, &["controller (pid ", "Address already in use"]);
    job.assert_nothing_left();
    assert_eq!(controllers(&place), 1);
    place.assert_deserted();
}

#[test]
fn a_scheduler_lost_while_engines_start_spoils_the_start() {
    let place = Place::with_fakes();
    let mut job = start(&place, &[("FAKE_ENGINE", "silent")], &[CLUSTER]);
    wait_fake(&place, "ipengine 1 started");
    job.wait_line("controller ready on");
    let pid = kill_child(&job, "mux");
    let told = format!("(pid {pid}) has died");
    job.fails(3, &["the controller's process for client mux port", &told]);
    job.assert_nothing_left();
    place.assert_deserted();
}

#[test]
fn a_controller_that_does_not_end_when_asked_is_killed_and_said() {
    let place = Place::with_fakes();
    let mut job = with_controller(&place, "deaf", &["--stop-timeout", "2s"]);
    job.wait_ready();
    let lines = job.stop();
    assert!(
        lines.contains("controller did not end when asked: killed"),
        "{lines}"
    );
    place.assert_deserted();
}

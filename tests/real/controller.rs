//! A controller whose port is taken: it lives on, engines register, and every call on that channel hangs. It must be found.

use super::python;
use crate::support::{Job, Place, free_ports, venv};
use serde_json::Value;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};

/// ipcontroller takes 18 ports; with one of them taken it still finds the range long enough.
const PORTS: u16 = 20;

/// The place of the client's mux port in the order in which ipcontroller takes them: registration, eight of the engines,
/// the client's control, mux.
const CLIENT_MUX: u16 = 10;

/// A range for the controller, and the port of the client's mux in it, at which we listen.
fn range_with_a_taken_port() -> (String, u16, TcpListener) {
    let range = free_ports(PORTS);
    let first: u16 = range
        .split('-')
        .next()
        .and_then(|port| port.parse().ok())
        .expect("a range");
    let port = first + CLIENT_MUX;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it was free");
    (range, port, listener)
}

#[test]
fn a_taken_port_of_the_controllers_is_named_with_its_holder() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let (range, port, _listener) = range_with_a_taken_port();
    let mut job = Job::start(
        &place,
        &[
            "--mode",
            "cluster-only",
            "-n",
            "1",
            "--start",
            "sequential",
            "--controller-ports",
            &range,
        ],
    );
    let (code, transcript) = job.finish();
    assert_eq!(code, 3, "{transcript}");
    let cause = format!(
        "error: the controller's client mux port {port} is held by pid {}",
        std::process::id()
    );
    assert!(transcript.contains(&cause), "{transcript}");
    job.assert_nothing_left();
}

#[test]
fn a_taken_port_of_the_range_is_passed_over_where_ipjob_makes_the_wiring() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let (range, port, _listener) = range_with_a_taken_port();
    let options = [
        "--mode",
        "cluster-only",
        "-n",
        "2",
        "--controller-ports",
        &range,
    ];
    let mut job = Job::start(&place, &options);
    job.wait_ready();
    let file = job.profile().join("security/ipcontroller-client.json");
    let text = fs::read_to_string(file).expect("a file");
    let wiring: Value = serde_json::from_str(&text).expect("whole");
    for channel in [
        "registration",
        "control",
        "mux",
        "task",
        "iopub",
        "notification",
        "broadcast",
    ] {
        let number = wiring[channel].as_u64().expect("a port");
        let first = port - CLIENT_MUX;
        let inside = u64::from(first)..u64::from(first + PORTS);
        assert!(
            inside.contains(&number) && number != u64::from(port),
            "{channel}: {number}"
        );
    }
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], serde_json::json!([0, 1]));
    job.stop();
}

/// A controller that cannot be handed its sockets, because this is no script of Python's. Before it starts, somebody takes the port of
/// the clients' mux channel, as only a program can that sets `SO_REUSEADDR` and listens, in a process that is none of the controller's.
const THIEF: &str = r#"case "$*" in *--version*) exec "$VENV/bin/ipcontroller" "$@";; esac
"$VENV/bin/python" -c "
import glob, json, os, signal, socket
[name] = glob.glob('.ipython/profile_job_local/security/ipcontroller-ipjob0-client.json')
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(('127.0.0.1', json.load(open(name))['mux']))
server.listen()
os.fork() and os._exit(0)
signal.pause()
"
exec "$VENV/bin/ipcontroller" "$@""#;

#[test]
fn a_port_that_was_stolen_ends_the_start_of_a_controller_that_takes_no_sockets() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("ipcontroller", THIEF);
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "2"]);
    command.env("VENV", &venv);
    let mut job = Job::spawn(&place, "job_local", command);
    let (code, transcript) = job.finish();
    assert_eq!(code, 3, "{transcript}");
    assert!(
        transcript.contains("the controller's client mux port "),
        "{transcript}"
    );
    job.assert_nothing_left();
}

#[test]
fn a_controller_that_takes_no_sockets_binds_its_ports_itself() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("ipcontroller", r#"exec "$VENV/bin/ipcontroller" "$@""#);
    let mut command = place.ipjob(["--mode", "cluster-only", "-n", "2"]);
    command.env("VENV", &venv);
    let mut job = Job::spawn(&place, "job_local", command);
    job.wait_ready();
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], serde_json::json!([0, 1]));
    job.stop();
}

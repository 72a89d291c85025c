//! Ports: reserved ones before their owner listens, and those that the job's programs listen on.

use super::{Bob, as_bob, listening, processes};
use crate::healing::{answer_of, ask, send, wait_replaced};
use crate::real::python;
use crate::support::{Job, Place, carriers, command_line, venv, wait_for};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::process::Child;

const BIND: &str = include_str!("bind.py");

/// A `jupyter-lab` that is no script of Python's, so that it cannot be handed a socket; it waits until the file `go`, a FIFO, is
/// written to.
const HELD_BACK: &str = r#"mkfifo go && echo "$@" >asked && read _ <go
exec "$REAL" "$@""#;

#[test]
fn only_who_binds_the_very_address_gets_the_socket_for_it() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let launcher = concat!(env!("CARGO_MANIFEST_DIR"), "/launcher");
    let told = python::run(&place, &venv, "../security/taken.py", &[launcher]);
    assert_eq!(
        told,
        "SOCK_STREAM 127.0.0.1 True\nSOCK_STREAM 127.0.0.2 False\nSOCK_DGRAM 127.0.0.1 False\nSOCK_DGRAM 127.0.0.2 False\nTrue\n"
    );
}

#[test]
fn who_slips_in_before_a_foreign_jupyter_listens_gets_no_token() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("jupyter-lab", HELD_BACK);
    let mut command = place.ipjob(["--mode", "notebook", "-n", "1"]);
    command.env("REAL", venv.join("bin/jupyter-lab"));
    let mut bob = needed!(as_bob(BIND));
    let mut job = Job::spawn(&place, "job_local", command);
    let asked = wait_for("jupyter's arguments", || {
        let text = fs::read_to_string(place.dir().join("asked")).ok()?;
        text.ends_with('\n').then_some(text)
    });
    let port = port_of(&asked);
    let mut bob = Bob::start(bob.args(["--serve", &port.to_string()]));
    let mut seen = Vec::new();
    while seen.last().map(String::as_str) != Some("serving") {
        seen.push(bob.line());
    }
    // Who does not set SO_REUSEADDR is refused, and SO_REUSEPORT helps nobody but the same user.
    for way in ["plain", "reuseport"] {
        for address in ["127.0.0.1", "0.0.0.0"] {
            let refused = format!("{way} {address} EADDRINUSE");
            assert!(seen.contains(&refused), "{seen:?}");
        }
    }
    fs::write(place.dir().join("go"), "\n").expect("the FIFO has its reader");
    let taken = format!("port {port} is not available");
    job.fails(3, &["jupyter (pid ", &taken]);
    assert_eq!(bob.end(), ["0 connections brought 0 bytes"]);
}

#[test]
fn no_port_of_a_job_can_be_had_not_even_while_nothing_but_ipjob_lives() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "1"]);
    let before = job.wait_ready();
    let tries = |ports: &BTreeSet<u16>| {
        let mut bob = as_bob(BIND)?;
        let words = ports.iter().map(u16::to_string);
        let told = text_of(bob.args(words).spawn().expect("python"));
        assert_eq!(told.lines().count(), ports.len() * 8, "{told}");
        assert!(!told.contains("GOT"), "{told}");
        Ok(())
    };
    let held = listening(&BTreeSet::from([job.pid()]));
    assert_eq!(held.len(), 19, "the controller's and jupyter's: {held:?}");
    let all = listening(&processes(&before));
    assert!(all.is_superset(&held), "{all:?}");
    needed!(tries(&all));

    // ipjob would start others: it is held while they are dead.
    job.signal(Signal::SIGSTOP);
    let incarnation = before["incarnation"]["id"].as_str().expect("an id");
    let dead = |line: &str| line.contains("ipcontroller") || line.contains("jupyter-lab");
    for (pid, line) in carriers(incarnation) {
        if dead(&line) {
            send(pid, Signal::SIGKILL);
        }
    }
    wait_for("their ends", || {
        let left = carriers(incarnation);
        (!left.iter().any(|(_, line)| dead(line))).then_some(())
    });
    needed!(tries(&held));
    // Who asks meanwhile waits, and is answered by the next one.
    let early = ask(&before, before["token"].as_str().expect("a token"));
    job.signal(Signal::SIGCONT);
    let answer = answer_of(early);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let after = wait_replaced(&job, "jupyter", 1);
    assert_eq!(after["restarts"]["controller"], 1);
    assert_eq!(after["token"], before["token"]);
    let seen = python::ask(&place, &venv, "execute.py", &["job_local"]);
    assert_eq!(seen["ids"], serde_json::json!([0]));
    // Nobody but the two has any of these sockets: no engine, no nanny.
    for (pid, line) in carriers(incarnation) {
        let inherited = listening(&BTreeSet::from([pid]));
        assert!(
            dead(&line) || inherited.is_disjoint(&held),
            "{line}: {inherited:?}"
        );
    }
    job.stop();
}

/// The port among Jupyter's arguments.
fn port_of(arguments: &str) -> u16 {
    arguments
        .split_whitespace()
        .find_map(|word| word.strip_prefix("--ServerApp.port="))
        .and_then(|port| port.parse().ok())
        .unwrap_or_else(|| panic!("no port: {arguments}"))
}

/// What a child prints until its end, which must be a good one.
pub fn text_of(mut child: Child) -> String {
    drop(child.stdin.take());
    let mut text = String::new();
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_to_string(&mut text).expect("text");
    let status = child.wait().expect("our child");
    assert!(status.success(), "{status}: {text}");
    text
}

#[test]
fn no_signal_of_another_user_arrives() {
    let mut bob = needed!(as_bob(SIGNAL));
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2"]);
    let record = job.wait_ready();
    let mut pids = processes(&record);
    pids.insert(job.pid());
    let before: Vec<String> = pids.iter().map(|pid| command_line(*pid)).collect();
    let bob = bob
        .args(pids.iter().map(u32::to_string))
        .spawn()
        .expect("python");
    assert_eq!(text_of(bob), format!("{} refused\n", pids.len() * 9));
    let after: Vec<String> = pids.iter().map(|pid| command_line(*pid)).collect();
    assert_eq!(before, after);
    assert_eq!(job.record().expect("a record")["state"], "ready");
    job.stop();
}

/// Signals, and the ways into a process that lead over /proc.
const SIGNAL: &str = "
import os, sys
refused = 0
for pid in sys.argv[1:]:
    for number in [0, 1, 2, 9, 15, 19]:
        try:
            os.kill(int(pid), number)
        except PermissionError:
            refused += 1
    for path in ['mem', 'fd', 'cwd/.']:
        try:
            os.listdir(f'/proc/{pid}/{path}') if path != 'mem' else open(f'/proc/{pid}/{path}', 'rb')
        except PermissionError:
            refused += 1
print(refused, 'refused')
";

//! Messages: garbage, unsigned and replayed ones, and what can be heard by who may not speak.

use super::{as_bob, listening, ports::text_of, processes};
use crate::real::python;
use crate::support::{Job, Place, venv};
use serde_json::{Value, json};

// Without encryption: with it, what is said here reaches nobody.
const GARBAGE: &str = concat!(include_str!("zmtp.py"), include_str!("garbage.py"));

#[test]
fn garbage_and_unsigned_messages_on_every_port_change_nothing() {
    let venv = needed!(venv("main"));
    let mut bob = needed!(as_bob(GARBAGE));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2", "--curve", "off"]);
    let record = job.wait_ready();
    let before = python::ask(&place, &venv, "../security/work.py", &["job_local"]);
    let pids = processes(&record);
    let ports = listening(&pids);
    assert!(ports.len() > 18, "{ports:?}");
    let bob = bob
        .args(ports.iter().map(u16::to_string))
        .spawn()
        .expect("python");
    let told = text_of(bob);
    // All but Jupyter's own.
    let spoke = format!(" {} ports shook hands\n", ports.len() - 1);
    assert!(told.ends_with(&spoke), "{told}{ports:?}");
    assert_eq!(
        processes(&record),
        pids,
        "nothing died, nothing was started"
    );
    let after = python::ask(&place, &venv, "../security/work.py", &["job_local"]);
    assert_eq!(after, before);
    let now = job.record().expect("a record");
    assert_eq!(now["state"], "ready", "{now}");
    job.stop();
}

#[test]
fn what_was_said_twice_or_is_signed_wrongly_is_done_once() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(
        &place,
        &["--mode", "cluster-only", "-n", "1", "--curve", "off"],
    );
    job.wait_ready();
    let told = python::run(&place, &venv, "../security/replay.py", &["job_local"]);
    let last = told.lines().last().expect("a line");
    assert_eq!(
        serde_json::from_str::<Value>(last).expect("JSON"),
        json!({"acted": 1, "answers": ["connection_reply", "queue_reply"]})
    );
    job.stop();
}

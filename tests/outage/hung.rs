//! Paths do not answer: who asks waits in the kernel until the file server is back.

use super::{Home, engine};
use crate::healing::{pid_of, send};
use crate::support::{Job, Needed, Place, program, venv, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

/// A file server, which dies with the test.
pub struct Server(Child);

impl Server {
    fn stops(&self) {
        send(self.0.id(), Signal::SIGSTOP);
    }

    fn goes_on(&self) {
        send(self.0.id(), Signal::SIGCONT);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A home that a process serves, without keeping anything in the kernel's memory.
fn served(place: Place) -> Needed<(Home, Server)> {
    served_by(
        place,
        &["-o", "attr_timeout=0,entry_timeout=0,negative_timeout=0"],
    )
}

/// A home that a process serves, with these options of bindfs.
pub fn served_by(place: Place, options: &[&str]) -> Needed<(Home, Server)> {
    let bindfs = program(&["/usr/bin"], &["bindfs"])?;
    let home = Home::in_place(place)?;
    let source = home.place.dir().join("served");
    fs::create_dir(&source).expect("a directory");
    let server = home
        .place
        .command(bindfs)
        .arg("-f")
        .args(options)
        .arg(&source)
        .arg(&home.path)
        .spawn()
        .map(Server)
        .expect("bindfs starts");
    wait_for("the mount", || {
        let mounts = fs::read_to_string("/proc/thread-self/mounts").ok()?;
        mounts.contains(home.text()).then_some(())
    });
    Ok((home, server))
}

fn replaced(job: &Job) -> Option<Value> {
    let record = job.record()?;
    (record["restarts"]["controller"] == 1 && record["state"] == "degraded").then_some(record)
}

#[test]
fn a_job_is_supervised_while_its_home_hangs_and_its_record_catches_up() {
    let venv = needed!(venv("main"));
    let (home, server) = needed!(served(Place::with_venv(&venv)));
    let mut job = home.job(&["--mode", "notebook", "-n", "2"]);
    let before = job.wait_ready();
    server.stops();
    send(engine(&before, 1), Signal::SIGKILL);
    job.wait_line("engine 1 (pid ");
    send(pid_of(&before["controller"]["pid"]), Signal::SIGKILL);
    job.wait_line("does not answer; restarts are on hold");
    server.goes_on();
    job.wait_line("the hub knows 1 engines again");
    let record = wait_for("the record", || replaced(&job));
    assert_eq!(record["engines"]["missing"], json!([1]));
    assert_eq!(record["restarts"]["jupyter"], 0);
    job.stop();
}

#[test]
fn a_stop_does_not_wait_for_a_home_that_hangs() {
    let venv = needed!(venv("main"));
    let (home, server) = needed!(served(Place::with_venv(&venv)));
    let mut job = home.job(&["--mode", "notebook", "-n", "2", "--stop-timeout", "6"]);
    let before = job.wait_ready();
    server.stops();
    let begin = Instant::now();
    job.signal(Signal::SIGTERM);
    let (code, transcript) = job.finish();
    let took = begin.elapsed();
    assert_eq!(code, 0, "{transcript}");
    assert!(
        transcript.contains("the last record cannot be written"),
        "{transcript}"
    );
    // Its own 6 s, what each service has to die of SIGKILL, and the last record's 2 s.
    assert!(took < Duration::from_secs(30), "{took:?}\n{transcript}");
    println!("the stop took {took:.1?}");
    let id = before["incarnation"]["id"].as_str().expect("an id");
    assert_eq!(crate::support::carriers(id), [], "{transcript}");
    server.goes_on();
}

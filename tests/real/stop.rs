//! The orderly stop, whatever engines and kernels are doing.

use super::python;
use crate::support::{Job, Place, venv, wait_for};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::time::{Duration, Instant};

/// Healthy services end in two seconds on a quiet machine; five times that is a defect on a busy one as well.
const SOON: Duration = Duration::from_secs(10);

#[test]
fn four_healthy_engines_and_a_kernel_stop_at_once() {
    healthy_engines_stop("exec");
}

#[test]
fn four_healthy_forked_engines_and_a_kernel_stop_at_once() {
    healthy_engines_stop("fork");
}

fn healthy_engines_stop(way: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = ready(&place, "4", &["--engine-start", way]);
    run_cell(&place, &venv, &job, "1", None);
    stop_soon(&mut job);
}

#[test]
fn a_kernel_that_loops_for_ever_is_ended() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = ready(&place, "1", &[]);
    let cell = "print('it loops', flush=True)\nwhile True: pass";
    run_cell(&place, &venv, &job, cell, Some("it loops"));
    stop_soon(&mut job);
}

#[test]
fn an_engine_that_loops_for_ever_is_ended() {
    a_looping_engine_is_ended("exec");
}

#[test]
fn a_forked_engine_that_loops_for_ever_is_ended() {
    a_looping_engine_is_ended("fork");
}

fn a_looping_engine_is_ended(way: &str) {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    // Python runs its signal handlers between two calls of the event loop: such an engine does not hear SIGTERM.
    let args = ["--stop-timeout", "5s", "--engine-start", way];
    let mut job = ready(&place, "2", &args);
    let sign = place.dir().join("busy");
    let mut client = python::program(
        &place,
        &venv,
        "occupy.py",
        &["job_local", sign.to_str().expect("text")],
    )
    .spawn()
    .expect("timeout");
    wait_for("the engine's loop", || sign.exists().then_some(()));
    // TERM, which `timeout` hands on to the client.
    let pid = i32::try_from(client.id()).expect("a pid");
    kill(Pid::from_raw(pid), Signal::SIGTERM).expect("our child");
    client.wait().expect("our child");
    stop_soon(&mut job);
}

#[test]
fn what_a_kernel_started_in_a_session_of_its_own_is_ended() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = ready(&place, "1", &[]);
    // One carries the incarnation, the other has cleaned its environment: only its parentage tells.
    let cell = "import subprocess\nfor command in ['sleep', '1001'], ['env', '-i', 'sleep', '1002']:\n    print('pid', subprocess.Popen(command, start_new_session=True).pid)";
    let printed = run_cell(&place, &venv, &job, cell, None);
    let pids: Vec<&str> = printed
        .lines()
        .filter_map(|line| line.strip_prefix("pid "))
        .collect();
    assert_eq!(pids.len(), 2, "{printed}");
    for pid in &pids {
        assert!(sleeps(pid), "pid {pid} runs before the stop");
    }
    stop_soon(&mut job);
    for pid in &pids {
        assert!(!sleeps(pid), "pid {pid} is left");
    }
}

fn ready(place: &Place, engines: &str, more: &[&str]) -> Job {
    let args = [&["--mode", "notebook", "-n", engines], more].concat();
    let mut job = Job::start(place, &args);
    job.wait_ready();
    job
}

fn run_cell(place: &Place, venv: &Path, job: &Job, cell: &str, until: Option<&str>) -> String {
    let record = job.profile().join("ipjob.json");
    let mut args = vec![record.to_str().expect("text")];
    if let Some(text) = until {
        args.extend(["--until", text]);
    }
    args.push(cell);
    python::run(place, venv, "jupyter.py", &args)
}

fn stop_soon(job: &mut Job) {
    let begin = Instant::now();
    let transcript = job.stop();
    let took = begin.elapsed();
    println!("stopped in {took:.2?}");
    assert!(took < SOON, "the stop took {took:?}:\n{transcript}");
}

fn sleeps(pid: &str) -> bool {
    pid.parse()
        .is_ok_and(|pid| crate::support::command_line(pid).starts_with("sleep "))
}

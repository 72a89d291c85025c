//! From start to end on a machine where all is well but for one thing: the fakes stand in for Python's programs.

mod console;
mod driver;
mod dry_run;
mod losses;
mod order;
mod record;
mod secrets;
mod signals;
mod strays;

use crate::support::{Job, Place, carriers, command_line};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::process::Command;

/// Two engines and Jupyter, with the fakes in this mood: `("FAKE_ENGINE", "deaf")`.
fn notebook(place: &Place, mood: &[(&str, &str)], options: &[&str]) -> Job {
    start(place, mood, &["--mode", "notebook", "-n", "2"], options)
}

/// Two engines without Jupyter.
fn cluster(place: &Place, mood: &[(&str, &str)], options: &[&str]) -> Job {
    start(place, mood, &["--mode", "cluster-only", "-n", "2"], options)
}

fn start(place: &Place, mood: &[(&str, &str)], mode: &[&str], options: &[&str]) -> Job {
    let mut command = place.ipjob(mode.iter().chain(options));
    command.envs(mood.iter().copied());
    Job::spawn(place, "job_local", command)
}

/// ipjob behind a shell that first does something to itself and then becomes ipjob: `exec "$0" "$@" <in >out`.
fn behind_shell(place: &Place, script: &str, args: &[&str]) -> Command {
    let mut command = place.command("/bin/sh");
    command
        .args(["-c", script])
        .arg(crate::support::binary())
        .args(args);
    command
}

/// Sends a signal to a process that a test knows of.
fn signal(pid: u32, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(pid).expect("a pid")), signal).expect("it lives");
}

/// The process of a program that belongs to the job of this record.
fn process_of(record: &Value, program: &str) -> u32 {
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    carriers(incarnation)
        .into_iter()
        .map(|(pid, _)| pid)
        .find(|pid| command_line(*pid).contains(&format!("/{program} ")))
        .unwrap_or_else(|| panic!("no {program} runs"))
}

/// The process id of an engine in a record.
fn engine_pid(record: &Value, id: usize) -> u32 {
    let pid = record["engines"]["list"][id]["pid"].as_u64();
    u32::try_from(pid.expect("a pid")).expect("a pid")
}

/// Whether a process runs: one that only waits to be counted does not.
fn runs(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|text| {
        !text
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

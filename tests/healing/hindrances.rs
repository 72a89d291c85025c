//! What hinders ipjob itself for a while: it goes on afterwards, and the record catches up.

use super::{pid_of, send};
use crate::support::{Job, Place, mounts, wait_for};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

const ARGS: [&str; 4] = ["--mode", "cluster-only", "-n", "3"];

fn engine(record: &Value, id: usize) -> u32 {
    pid_of(&record["engines"]["list"][id]["pid"])
}

fn is_in_state(pid: u32, state: &str) -> Option<()> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.contains(&format!(") {state} ")).then_some(())
}

/// Waits for a record, wherever it lies, that misses these engines.
fn wait_missing(path: &Path, missing: &Value) -> Value {
    wait_for(&format!("engines {missing} to be missing"), || {
        let record: Value = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        (record["engines"]["missing"] == *missing).then_some(record)
    })
}

#[test]
fn what_ended_while_ipjob_was_stopped_is_told_once_it_goes_on() {
    let place = Place::with_fakes();
    let mut job = Job::start(&place, &ARGS);
    let before = job.wait_ready();
    job.signal(Signal::SIGSTOP);
    wait_for("ipjob to stop", || is_in_state(job.pid(), "T"));
    let lost = engine(&before, 1);
    send(lost, Signal::SIGKILL);
    wait_for("the engine's end", || is_in_state(lost, "Z"));
    job.signal(Signal::SIGCONT);
    job.wait_line(&format!(
        "engine 1 (pid {lost}) ended with signal 9 (SIGKILL)"
    ));
    let record = wait_missing(&job.profile().join("ipjob.json"), &json!([1]));
    assert_eq!(record["state"], "degraded");
    assert_eq!(record["controller"], before["controller"]);
    job.stop();
}

#[test]
fn a_record_on_a_disk_that_was_full_catches_up() {
    needed!(mounts());
    let place = Place::with_fakes();
    // A file system that only ipjob sees, and this test by way of ipjob's root.
    let script = "mkdir small && mount -t tmpfs -o size=256k tmpfs small && exec \"$@\"";
    let mut command = place.command("unshare");
    command.args(["-m", "sh", "-c", script, "sh"]);
    let ipjob = place.ipjob(ARGS);
    command.arg(ipjob.get_program()).args(ipjob.get_args());
    let copy = place.dir().join("small/record.json");
    command.arg("--record").arg(&copy);
    let mut job = Job::spawn(&place, "job_local", command);
    let before = job.wait_ready();
    let seen = |path: &Path| {
        let inside = path.strip_prefix("/").expect("an absolute path");
        PathBuf::from(format!("/proc/{}/root", job.pid())).join(inside)
    };
    let (copy, filler) = (seen(&copy), seen(&place.dir().join("small/filler")));
    wait_missing(&copy, &json!([]));
    assert!(fs::write(&filler, vec![0; 1 << 20]).is_err(), "it is full");
    send(engine(&before, 0), Signal::SIGKILL);
    job.wait_line("record.json cannot be written: No space left on device");
    wait_missing(&job.profile().join("ipjob.json"), &json!([0]));
    fs::remove_file(&filler).expect("it is there");
    send(engine(&before, 1), Signal::SIGKILL);
    job.wait_line("record.json can be written again");
    let record = wait_missing(&copy, &json!([0, 1]));
    let warnings = record["warnings"].to_string();
    assert!(warnings.contains("the job keeps running"), "{warnings}");
    job.stop();
}

//! Processes that leave their parent's session, as kernels and nannies do, or hide from it: none outlives the job.

use super::{notebook, runs, signal};
use crate::support::{Job, Place, binary, wait_for};
use nix::sys::signal::Signal;
use std::fs;

/// The strays that a fake has left: kind and process id.
fn strays(place: &Place, program: &str) -> Vec<(String, u32)> {
    place
        .fake_log()
        .iter()
        .filter_map(|line| line.strip_prefix(&format!("{program} left ")))
        .filter_map(|rest| {
            let (kind, pid) = rest.split_once(' ')?;
            Some((kind.to_owned(), pid.parse().ok()?))
        })
        .collect()
}

/// Checks that strays of every kind ran while the job did.
fn living(place: &Place, program: &str) -> Vec<(String, u32)> {
    // A daemon tells of itself, perhaps after its parent's parent has gone on.
    let left = wait_for("strays of every kind", || {
        let left = strays(place, program);
        let all = ["kernel", "deaf", "daemon", "clean", "clean-daemon"];
        let there = |kind: &&str| left.iter().any(|(found, _)| found == kind);
        all.iter().all(there).then_some(left)
    });
    for (kind, pid) in &left {
        assert!(runs(*pid), "the {kind} ended too early");
    }
    left
}

fn assert_gone(strays: &[(String, u32)]) {
    for (kind, pid) in strays {
        assert!(!runs(*pid), "the {kind} (pid {pid}) runs");
    }
}

#[test]
fn strays_of_an_engine_and_of_jupyter_end_with_the_job() {
    for (mood, value, program) in [
        ("FAKE_ENGINE", "strays:1", "ipengine"),
        ("FAKE_JUPYTER", "strays", "jupyter-lab"),
    ] {
        let place = Place::with_fakes();
        let mut job = notebook(&place, &[(mood, value)], &[]);
        job.wait_ready();
        let left = living(&place, program);
        let transcript = job.stop();
        assert_gone(&left);
        assert!(!transcript.contains("does not end"), "{transcript}");
    }
}

#[test]
fn strays_end_as_well_when_the_end_is_a_kill() {
    let place = Place::with_fakes();
    let mood = [("FAKE_CONTROLLER", "deaf"), ("FAKE_JUPYTER", "strays")];
    let mut job = notebook(&place, &mood, &["--stop-timeout", "1h"]);
    job.wait_ready();
    let left = living(&place, "jupyter-lab");
    job.signal(Signal::SIGINT);
    job.wait_line("stopping: SIGINT");
    job.signal(Signal::SIGINT);
    job.finish();
    job.assert_nothing_left();
    assert_gone(&left);
}

#[test]
fn strays_of_a_jupyter_that_was_killed_end_before_it_is_started_again() {
    let place = Place::with_fakes();
    let mut job: Job = notebook(&place, &[("FAKE_JUPYTER", "strays")], &[]);
    let record = job.wait_ready();
    let left = living(&place, "jupyter-lab");
    signal(super::process_of(&record, "jupyter-lab"), Signal::SIGKILL);
    job.wait_line("jupyter ready again");
    // Nobody can tell whose those are that cleaned their environment: they are known as ours, and end with the job.
    let (clean, others): (Vec<_>, Vec<_>) = left
        .into_iter()
        .partition(|(kind, _)| kind.starts_with("clean"));
    assert_gone(&others);
    job.stop();
    assert_gone(&clean);
}

#[test]
fn a_driver_behind_a_shell_has_its_share_of_the_stop() {
    let place = Place::with_fakes();
    // Asked to end, the shell is gone at once; its program writes its checkpoint two seconds later.
    let body = r#"python3 -c '
import os, select, signal
def log(text): open(os.environ["FAKE_LOG"], "a").write(f"driver {text}\n")
def asked(*_):
    select.select([], [], [], 2)
    log("checkpoint")
    os._exit(0)
signal.signal(signal.SIGTERM, asked)
log("started")
while True: signal.pause()'
exit 1"#;
    place.script("driver", body);
    let mut job = super::cluster(&place, &[], &["--stop-timeout", "1h", "--", "driver"]);
    let logged = |line: &str| place.fake_log().iter().any(|found| found == line);
    wait_for("the driver", || logged("driver started").then_some(()));
    job.signal(Signal::SIGTERM);
    let (code, transcript) = job.finish();
    assert_eq!(code, 143, "the shell's own: {transcript}");
    job.assert_nothing_left();
    assert!(logged("driver checkpoint"));
}

/// ipjob in the place of a bash script that first does this.
fn script(place: &Place, lines: &str) -> Job {
    let mut command = place.command("bash");
    command
        .args(["-c", &format!("{lines}; exec \"$0\" \"$@\"")])
        .arg(binary())
        .args(["--mode", "cluster-only", "-n", "1"]);
    Job::spawn(place, "job_local", command)
}

#[test]
fn what_the_batch_script_put_into_the_background_survives() {
    let place = Place::with_fakes();
    // With a child of its own, and without ipjob's stderr, whose end the test waits for.
    let background = "{ tail -f /dev/null & echo $! >child; wait; } 2>/dev/null & echo $! >parent";
    let mut job = script(&place, background);
    job.wait_ready();
    let pids = ["parent", "child"].map(|name| {
        wait_for(name, || {
            let text = fs::read_to_string(place.dir().join(name)).ok()?;
            text.trim().parse::<u32>().ok()
        })
    });
    job.stop();
    let survived = pids.map(runs);
    for pid in pids.into_iter().filter(|pid| runs(*pid)) {
        signal(pid, Signal::SIGKILL);
    }
    assert_eq!(survived, [true, true]);
}

#[test]
fn a_tee_behind_the_batch_scripts_output_gets_the_last_line() {
    let place = Place::with_fakes();
    let mut job = script(&place, "exec 2> >(exec tee log >&2)");
    job.wait_ready();
    let transcript = job.stop();
    let last = "ended; nothing is left running";
    assert!(transcript.contains(last), "{transcript}");
    wait_for("the last line in tee's file", || {
        let text = fs::read_to_string(place.dir().join("log")).ok()?;
        text.contains(last).then_some(())
    });
}

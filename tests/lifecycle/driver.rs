//! The driver command of cluster-only mode: it is the job.

use super::behind_shell;
use crate::support::{Job, Place, wait_for};
use nix::sys::signal::Signal;
use std::fs;
use std::path::PathBuf;

/// A job whose driver is a shell script; what it is typed, and the file that its output goes to.
fn drive(place: &Place, body: &str, typed: &str) -> (Job, PathBuf) {
    place.script("driver", body);
    let output = place.dir().join("driver-output");
    fs::write(place.dir().join("typed"), typed).expect("a file");
    let command = behind_shell(
        place,
        "exec \"$0\" \"$@\" <typed >driver-output",
        &[
            "--mode",
            "cluster-only",
            "-n",
            "2",
            "--",
            "driver",
            "--flag",
            "a b",
        ],
    );
    (Job::spawn(place, "job_local", command), output)
}

#[test]
fn it_has_stdin_stdout_its_arguments_and_the_names_of_the_cluster() {
    let place = Place::with_fakes();
    let body = r#"echo "$IPJOB_CLIENT_PROFILE|$IPYTHONDIR|$1|$2"; cat; echo "driver started" >>"$FAKE_LOG""#;
    let (mut job, output) = drive(&place, body, "typed by a person\n");
    let (code, transcript) = job.finish();
    assert_eq!(code, 0, "{transcript}");
    let dir = place.ipython_dir();
    assert_eq!(
        fs::read_to_string(output).expect("output"),
        format!(
            "job_local|{}|--flag|a b\ntyped by a person\n",
            dir.display()
        ),
        "stdout is the driver's alone"
    );
    let log = place.fake_log();
    let place_of = |line: &str| log.iter().position(|found| found == line).expect("a line");
    let driven = place_of("driver started");
    assert!(place_of("ipengine 0 started").max(place_of("ipengine 1 started")) < driven);
    let engines: Vec<usize> = (0..log.len())
        .filter(|line| log[*line] == "ipengine SIGTERM")
        .collect();
    assert_eq!(engines.len(), 2);
    assert!(engines.iter().all(|line| *line > driven));
    assert!(
        engines
            .iter()
            .all(|line| *line < place_of("ipcontroller SIGTERM"))
    );
    assert!(transcript.contains("ready: 2 engines"), "{transcript}");
    job.assert_nothing_left();
    let record = job.record().expect("a record");
    assert_eq!(record["reason"], "driver ended with exit code 0");
}

#[test]
fn its_exit_code_is_ipjobs() {
    for (body, code, reason) in [
        ("exit 3", 3, "driver ended with exit code 3"),
        ("exit 255", 255, "driver ended with exit code 255"),
        ("kill -9 $$", 137, "driver ended with signal 9 (SIGKILL)"),
        // One beyond those that have a name of their own.
        (
            "kill -35 $$",
            163,
            "driver ended with signal 35 (SIGRTMIN+1)",
        ),
    ] {
        let place = Place::with_fakes();
        let (mut job, _) = drive(&place, body, "");
        let (found, transcript) = job.finish();
        assert_eq!(found, code, "{transcript}");
        assert!(
            transcript.contains(&format!("stopping: {reason}")),
            "{transcript}"
        );
        assert!(!transcript.contains("error"), "{transcript}");
    }
}

#[test]
fn one_that_is_not_there_is_named_before_anything_starts() {
    let place = Place::with_fakes();
    let args = ["--mode", "cluster-only", "-n", "1", "--", "no-such-driver"];
    let (code, text) = Job::start(&place, &args).finish();
    assert_eq!(code, 4, "{text}");
    assert!(
        text.starts_with("error: ") && text.contains("no-such-driver"),
        "{text}"
    );
    assert!(text.contains("hint: "), "{text}");
    assert_eq!(place.fake_log(), [""; 0], "nothing was started");
    assert!(!place.ipython_dir().exists());
}

#[test]
fn a_script_that_is_not_on_path_gets_the_words_that_run_it() {
    let place = Place::with_fakes();
    fs::write(place.dir().join("driver.py"), "").expect("a file");
    let args = ["--mode", "cluster-only", "-n", "1", "--", "driver.py"];
    let (code, text) = Job::start(&place, &args).finish();
    assert_eq!(code, 4, "{text}");
    let hint = "hint: `python driver.py`, or `./driver.py` if it is executable";
    assert!(
        text.contains(hint) && !text.contains("pip install"),
        "{text}"
    );
}

#[test]
fn a_request_to_stop_reaches_it_first() {
    let place = Place::with_fakes();
    let body = r#"exec python3 -c '
import os, signal, sys
def log(text): open(os.environ["FAKE_LOG"], "a").write(f"driver {text}\n")
def asked(*_): log("SIGTERM"); sys.exit(5)
signal.signal(signal.SIGTERM, asked)
log(f"started {os.getpid()}")
while True: signal.pause()'"#;
    let (mut job, _) = drive(&place, body, "");
    let pid = wait_for("the driver", || {
        let log = place.fake_log();
        let line = log
            .iter()
            .find_map(|line| line.strip_prefix("driver started "))?;
        line.parse::<u32>().ok()
    });
    assert!(super::runs(pid));
    job.signal(Signal::SIGTERM);
    let (code, transcript) = job.finish();
    assert_eq!(code, 5, "its own code, which no 0 hides: {transcript}");
    assert_eq!(job.record().expect("a record")["reason"], "SIGTERM");
    let log = place.fake_log();
    let place_of = |line: &str| log.iter().position(|found| found == line);
    let driven = place_of("driver SIGTERM");
    assert!(driven.is_some(), "{log:#?}");
    assert!(driven < place_of("ipengine SIGTERM"), "{log:#?}");
}

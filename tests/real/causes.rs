//! Why a process ended: what is told was seen to end it, and nothing else that its log holds.

use super::python;
use crate::support::{Job, Place, venv};
use std::fs;

/// What logs of engines hold that has ended none.
const ELSEWHERE: [&str; 5] = [
    "bad input in step 3",
    "division by zero",
    "Completed registration",
    "Handling apply_request",
    "our parent has shut down",
];

/// The lines without those of logs, which show what there is.
fn without_logs(transcript: &str) -> String {
    let mut lines: Vec<&str> = transcript.lines().collect();
    lines.retain(|line| !line.starts_with("        | "));
    lines.join("\n")
}

/// Two engines whose tasks have failed end, one by a signal and one because a client says so.
fn ends(name: &str, ways: [&str; 2]) {
    let venv = needed!(venv(name));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "2"]);
    job.wait_ready();
    for (engine, way) in ["0", "1"].into_iter().zip(ways) {
        python::run(&place, &venv, "fail.py", &["job_local", engine, way]);
    }
    let (_, transcript) = job.finish();
    let ours = without_logs(&transcript);
    assert!(ours.contains(" ended with signal 11 (SIGSEGV)"), "{ours}");
    let record = job.record().expect("a record").to_string();
    for words in ELSEWHERE {
        assert!(!ours.contains(words), "{words:?} is told:\n{ours}");
        assert!(!record.contains(words), "{words:?} is told: {record}");
    }
    job.assert_nothing_left();
}

#[test]
fn a_task_that_failed_earlier_is_not_why_a_signal_or_a_client_ended_the_engine() {
    ends("main", ["SIGSEGV", "shutdown"]);
}

#[test]
fn nor_with_ipyparallel_8_8() {
    ends("ipp88", ["shutdown", "SIGSEGV"]);
}

#[test]
fn a_signal_that_an_engine_caught_is_told_and_an_exit_code_alone_is_no_more() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "cluster-only", "-n", "2"]);
    job.wait_ready();
    python::run(&place, &venv, "fail.py", &["job_local", "0", "exit"]);
    job.wait_line("ended with exit code 1");
    python::run(&place, &venv, "fail.py", &["job_local", "1", "SIGTERM"]);
    let (code, transcript) = job.finish();
    assert_eq!(code, 1, "{transcript}");
    let cause = transcript.lines().find(|line| line.starts_with("cause: "));
    assert!(
        cause.is_some_and(|cause| cause.ends_with(": received signal 15, stopping")),
        "{transcript}"
    );
    let ours = without_logs(&transcript);
    assert!(!ours.contains("Event loop stopped"), "{ours}");
    job.assert_nothing_left();
}

#[test]
fn a_file_that_hides_a_module_of_pythons_is_named() {
    let venv = needed!(venv("main"));
    for (module, name) in [("random", "Random"), ("token", "EXACT_TOKEN_TYPES")] {
        let place = Place::with_venv(&venv);
        let file = place.dir().join(format!("{module}.py"));
        fs::write(&file, "x = 1\n").expect("a file");
        // What forks engines has imported Python's own before it looks there.
        let exec = [
            "--mode",
            "cluster-only",
            "-n",
            "1",
            "--engine-start",
            "exec",
        ];
        let mut job = Job::start(&place, &exec);
        let (code, transcript) = job.finish();
        assert_eq!(code, 4, "{transcript}");
        let file = file.display();
        for told in [
            format!("ImportError: cannot import name '{name}' from '{module}' ({file})"),
            format!("hint: Python took {file} for the module `{module}`: rename that file"),
        ] {
            assert!(without_logs(&transcript).contains(&told), "{transcript}");
        }
        job.assert_nothing_left();
    }
}

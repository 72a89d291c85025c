//! A short run of what `make soak` and `make chaos` do at length.

use crate::support::{Needed, binary, mounts, venv};
use std::path::Path;
use std::process::Command;

/// Runs one of the programs of tests/chaos, which judges by itself; what it told of its course.
fn passes(program: &str, arguments: &[&str]) -> Needed<String> {
    let venv = venv("main")?;
    let output = Command::new(venv.join("bin/python"))
        .arg(
            Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/chaos")
                .join(program),
        )
        .args(arguments)
        .env("IPJOB_TEST_BINARY", binary())
        .env("IPJOB_TEST_VENV_MAIN", &venv)
        .output()
        .expect("python");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}\n{errors}");
    println!("{text}");
    Ok(errors)
}

#[test]
fn a_few_starts_and_stops_leave_nothing() {
    needed!(passes("soak", &["--cycles", "4"]));
}

#[test]
fn some_random_harm_is_recovered_from() {
    // It does without the faults of file systems where it may mount none, and is worth little then.
    needed!(mounts());
    // With this seed the first faults are a full disk, a dead controller, a dead engine and a frozen home; a stopped engine, which the
    // hub misses after 30 s, comes late.
    let arguments = ["--seconds", "40", "--seed", "19", "--engines", "3"];
    let course = needed!(passes("run", &arguments));
    // Which kinds come in this time is chance; `make chaos` goes on until all have.
    let recovered = course.matches("recovered after").count();
    assert!(recovered >= 3, "{recovered} recoveries:\n{course}");
}

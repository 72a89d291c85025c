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

/// A short run of harm with a launcher, and the kinds that come by this seed: recovered from, each.
fn harm(launcher: &str, seconds: &str, seed: &str) {
    // It does without the faults of file systems where it may mount none, and is worth little then.
    needed!(mounts());
    let arguments = [
        "--short",
        "--launcher",
        launcher,
        "--seconds",
        seconds,
        "--seed",
        seed,
        "--engines",
        "3",
    ];
    let course = needed!(passes("run", &arguments));
    // Which kinds come in this time is chance; `make chaos` goes on until each has come twice.
    let recovered = course.matches("recovered after").count();
    assert!(recovered >= 3, "{recovered} recoveries:\n{course}");
}

#[test]
fn some_random_harm_is_recovered_from() {
    harm("local", "40", "19");
}

#[test]
fn some_random_harm_to_ranks_is_recovered_from() {
    harm("ranks", "40", "5");
}

#[test]
fn some_random_harm_to_a_set_under_mpiexec_is_recovered_from() {
    harm("mpiexec", "40", "6");
}

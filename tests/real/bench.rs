//! The benchmark works: its quick form measures ipjob's own rows, and a long one a job in the lab. No number is judged here.

use crate::support::{binary, venv};
use std::path::Path;
use std::process::Command;

/// What the benchmark prints with these options.
fn measure(venv: &Path, options: &[&str]) -> String {
    let output = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/run"))
        .args(options)
        .env("IPJOB_TEST_VENV_MAIN", venv)
        .env("IPJOB_TEST_BINARY", binary())
        .output()
        .expect("the benchmark starts");
    let tables = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{tables}{errors}");
    tables.into_owned()
}

#[test]
fn the_benchmark_measures_ipjob_and_leaves_nothing() {
    let venv = needed!(venv("main"));
    let tables = measure(&venv, &["--quick"]);
    for row in [
        "ipjob --mode notebook",
        "ipjob --mode cluster-only",
        "size of the static binary",
        "resident memory, 8 engines",
        "CPU in 10 idle minutes",
        "own share of the start",
    ] {
        let line = tables.lines().find(|line| line.contains(row));
        let line = line.unwrap_or_else(|| panic!("no row {row:?} in:\n{tables}"));
        assert!(line.chars().any(|c| c.is_ascii_digit()), "{line}");
    }
    for line in tables.lines().filter(|line| line.contains("ipjob --mode")) {
        assert!(line.contains("nothing"), "something was left: {line}");
    }
}

#[test]
#[ignore = "make test LONG=1"]
fn the_benchmark_measures_a_job_of_two_nodes() {
    let venv = needed!(venv("main"));
    let tables = measure(&venv, &["--only", "slurm", "--runs", "1"]);
    assert!(tables.contains("| classic script "), "{tables}");
    for line in tables.lines().filter(|line| line.contains("ipjob --mode")) {
        assert!(line.contains("nothing"), "something was left: {line}");
    }
}

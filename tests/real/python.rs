//! The Python programs beside these tests, run in a virtual environment.

use crate::support::Place;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds that a program may take: `timeout` aborts one that hangs, and Python prints where each of its threads is.
const LIMIT: &str = "100";

/// One of the programs in tests/real, with the environment that a user's shell would have: no variable of ipjob's.
pub fn program(place: &Place, venv: &Path, name: &str, args: &[&str]) -> Command {
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/real")
        .join(name);
    let mut command = place.command("timeout");
    command
        .args(["--signal=ABRT", LIMIT])
        .arg(venv.join("bin/python"))
        .args(["-X", "faulthandler"])
        .arg(file)
        .args(args);
    command
}

/// Runs one to its end and returns what it printed.
pub fn run(place: &Place, venv: &Path, name: &str, args: &[&str]) -> String {
    let output = program(place, venv, name, args).output().expect("timeout");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{name} {args:?} ended with {}:\n{printed}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    printed
}

/// Runs one that prints one JSON object.
pub fn ask(place: &Place, venv: &Path, name: &str, args: &[&str]) -> serde_json::Value {
    let printed = run(place, venv, name, args);
    serde_json::from_str(&printed).unwrap_or_else(|error| panic!("{error}: {printed}"))
}

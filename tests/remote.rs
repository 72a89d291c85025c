//! Jobs seen from elsewhere: `ipjob status`, `stop` and `clean`, on this machine, on a login node, and from a laptop over ssh.

mod arrays;
mod hostile;
mod lab;
mod late;
mod local;
mod settings;

use crate::support::Place;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

/// The exit code of a command at this place, with what it wrote to stdout and to stderr.
fn run(place: &Place, args: &[&str]) -> (i32, String, String) {
    let output = place.ipjob(args).output().expect("it runs");
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

/// The jobs as `ipjob status --json` tells them.
fn jobs(place: &Place) -> Vec<Value> {
    let (code, text, errors) = run(place, &["status", "--json"]);
    assert_eq!(code, 0, "{errors}");
    serde_json::from_str(&text).expect("JSON")
}

/// The place's pointers.
fn pointers(place: &Place) -> Vec<PathBuf> {
    let entries = fs::read_dir(place.dir().join(".local/state/ipjob"));
    entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

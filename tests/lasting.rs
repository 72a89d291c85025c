//! Who may end what, with real ipyparallel: a driver and a notebook outlive their engines, a client ends what it asks to end and no
//! failure comes of it, and `ipjob restart` brings engines back.

mod client;
mod driver;
mod notebook;

use crate::support::Place;
use std::path::Path;
use std::process::Output;

/// Runs code with a client `rc` of the job in `job_local`; what it prints is returned.
fn with_client(place: &Place, venv: &Path, code: &str) -> String {
    let code = format!(
        "import ipyparallel as ipp\nrc = ipp.Client(profile='job_local', timeout=60)\n{code}"
    );
    let output = place
        .command(venv.join("bin/python"))
        .args(["-c", &code])
        .output()
        .expect("python");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    text
}

/// Runs `ipjob restart` in a job of that incarnation, as a notebook's cell does, or else by its name; its exit code and lines.
fn restart(place: &Place, incarnation: Option<&str>, args: &[&str]) -> (i32, String) {
    let mut command = place.ipjob(["restart"]);
    command.args(args);
    if let Some(incarnation) = incarnation {
        command.env("IPJOB_INCARNATION", incarnation);
    }
    let Output { status, stderr, .. } = command.output().expect("ipjob");
    let lines = String::from_utf8_lossy(&stderr).into_owned();
    (status.code().unwrap_or(-1), lines)
}

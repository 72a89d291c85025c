//! Nobody else can read the key or the token: not in an argv, not in a file, not in a log.

use super::{behind_shell, notebook};
use crate::support::{Job, Place, carriers, command_line};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The job's key and token.
fn secrets(job: &Job, record: &Value) -> [String; 2] {
    let key = fs::read_to_string(job.profile().join("ipjob-runtime/session.key")).expect("a key");
    let token = record["token"].as_str().expect("a token").to_owned();
    assert_eq!(
        [key.len(), token.len()],
        [64, 64],
        "256 bits as hexadecimal digits"
    );
    assert_ne!(key, token);
    [key, token]
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("a file").mode() & 0o777
}

/// Every file below a directory.
fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        match entry.file_type().expect("a type") {
            kind if kind.is_dir() => found.extend(files(&entry.path())),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    found
}

fn holds(path: &Path, secrets: &[String]) -> bool {
    let text = fs::read(path).unwrap_or_default();
    secrets.iter().any(|secret| {
        text.windows(secret.len())
            .any(|window| window == secret.as_bytes())
    })
}

#[test]
fn no_argv_and_no_file_shows_a_secret_to_others() {
    let place = Place::with_fakes();
    let mut job = notebook(&place, &[], &["-v"]);
    let record = job.wait_ready();
    let secrets = secrets(&job, &record);
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let tree = carriers(incarnation);
    assert!(tree.len() >= 4, "controller, engines and Jupyter: {tree:?}");
    let argvs = tree.iter().map(|(pid, _)| *pid).chain([job.pid()]);
    for argv in argvs.map(command_line) {
        assert!(
            !secrets.iter().any(|secret| argv.contains(secret)),
            "{argv}"
        );
    }
    let secret_files: Vec<PathBuf> = files(place.dir())
        .into_iter()
        .filter(|path| holds(path, &secrets))
        .collect();
    for path in &secret_files {
        assert_eq!(mode(path), 0o600, "{}", path.display());
        let directory = path.parent().expect("a directory");
        assert_eq!(mode(directory), 0o700, "{}", directory.display());
    }
    assert!(
        secret_files.len() >= 4,
        "record, key and connection files: {secret_files:?}"
    );
    let transcript = job.stop();
    assert!(
        !secrets.iter().any(|secret| transcript.contains(secret)),
        "{transcript}"
    );
    let left: Vec<PathBuf> = files(place.dir())
        .into_iter()
        .filter(|path| holds(path, &secrets))
        .collect();
    assert_eq!(left, [""; 0].map(PathBuf::from), "a secret is left");
}

#[test]
fn ipjobs_files_are_private_under_any_umask_and_programs_have_the_users_own() {
    let place = Place::with_fakes();
    let script = "umask 0002; exec \"$0\" \"$@\"";
    let args = ["--mode", "notebook", "-n", "1"];
    let mut job = Job::spawn(&place, "job_local", behind_shell(&place, script, &args));
    let record = job.wait_ready();
    let profile = job.profile().to_owned();
    for directory in [
        "",
        "log",
        "security",
        "ipjob-runtime",
        "ipjob-runtime/jupyter",
    ] {
        // The last is a link, to a disk of this node.
        let found = fs::canonicalize(profile.join(directory)).expect("made");
        assert_eq!(mode(&found), 0o700, "{directory:?}");
    }
    for file in [
        "ipjob.json",
        "ipjob.lock",
        ".made-by-ipjob",
        "ipjob-runtime/session.key",
        "log/ipjob-controller.log",
        "log/ipjob-engine-0.log",
        "log/ipjob-jupyter.log",
    ] {
        assert_eq!(mode(&profile.join(file)), 0o600, "{file}");
    }
    let incarnation = record["incarnation"]["id"].as_str().expect("an id");
    let tree = carriers(incarnation);
    assert!(tree.len() >= 3, "{tree:?}");
    for (pid, argv) in tree {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
        assert!(status.contains("Umask:\t0002\n"), "{argv}: {status}");
    }
    job.stop();
}

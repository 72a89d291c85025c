//! Jupyter dies.

use super::{answer_of, ask, child_of, send, wait_replaced};
use crate::support::{Job, Place, venv};
use nix::sys::signal::Signal;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_killed_jupyter_is_back_at_the_same_address_and_the_engines_never_notice() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    let mut job = Job::start(&place, &["--mode", "notebook", "-n", "2"]);
    let before = job.wait_ready();
    let record = job.profile().join("ipjob.json");
    let cell = |text: &str| {
        let path = record.to_str().expect("text");
        crate::real::run_python(&place, &venv, "jupyter.py", &[path, text])
    };
    let keep = "import os, ipyparallel as ipp\nrc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])\nrc[:].push({'x': 7}, block=True)";
    cell(keep);
    let jupyter = child_of(job.pid(), "jupyter-lab");
    send(jupyter, Signal::SIGKILL);
    job.wait_line(&format!(
        "jupyter (pid {jupyter}) ended with signal 9 (SIGKILL); restarting it (1 of 5)"
    ));
    let after = wait_replaced(&job, "jupyter", 1);
    for same in ["url", "token", "port", "engines", "controller"] {
        assert_eq!(after[same], before[same]);
    }
    // The same url, in a browser that was open, and the engines' data behind it.
    let look = "import os, ipyparallel as ipp\nrc = ipp.Client(profile=os.environ['IPJOB_CLIENT_PROFILE'])\nprint('x is', rc[:]['x'])";
    let printed = cell(look);
    assert!(printed.contains("x is [7, 7]"), "{printed}");
    job.stop();
}

#[test]
fn a_jupyter_that_takes_no_socket_of_ours_gets_a_new_token_when_it_is_started_again() {
    let venv = needed!(venv("main"));
    let place = Place::with_venv(&venv);
    place.script("jupyter-lab", r#"exec "$REAL" "$@""#);
    // The user's own, which a page may have told as well.
    let old = "abcdefgh";
    let mut command = place.ipjob(["--mode=notebook", "-n1", "--jupyter-token-file=token"]);
    command.env("REAL", venv.join("bin/jupyter-lab"));
    fs::write(place.dir().join("token"), old).expect("a file");
    fs::set_permissions(place.dir().join("token"), Permissions::from_mode(0o600)).expect("a mode");
    let mut job = Job::spawn(&place, "job_local", command);
    let before = job.wait_ready();
    assert_eq!(before["token"], old);
    send(child_of(job.pid(), "jupyter-lab"), Signal::SIGKILL);
    job.wait_line("jupyter gets a new token in place of the one in token, because");
    let after = wait_replaced(&job, "jupyter", 1);
    let new = after["token"].as_str().expect("a token");
    assert_ne!(new, old);
    let told = format!("token={new}");
    assert!(
        after["url"]
            .as_str()
            .is_some_and(|url| url.ends_with(&told))
    );
    for (token, code) in [(new, "200"), (old, "403")] {
        let answer = answer_of(ask(&after, token));
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
    job.stop();
}

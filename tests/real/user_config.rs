//! The user's own Jupyter configuration: it works, or the error names it. It never opens the server to others.

use super::http;
use crate::support::{Job, Place, program, venv};
use std::fs;
use std::path::Path;

fn configured(venv: &Path, lines: &str) -> (Place, Job) {
    let place = Place::with_venv(venv);
    let dir = place.dir().join(".jupyter");
    fs::create_dir(&dir).expect("a directory");
    fs::write(dir.join("jupyter_server_config.py"), lines).expect("a file");
    let job = Job::start(
        &place,
        &["--mode", "notebook", "-n", "1", "--frontend", "server"],
    );
    (place, job)
}

#[test]
fn a_password_and_a_base_url_and_ports_of_the_users_are_no_trouble() {
    let venv = needed!(venv("main"));
    // The hash of nothing in particular: nobody types a password here.
    let (_place, mut job) = configured(
        &venv,
        "c.PasswordIdentityProvider.hashed_password = 'sha1:0123456789ab:0123456789abcdef0123456789abcdef01234567'\nc.ServerApp.base_url = '/mine'\nc.ServerApp.port = 1\nc.ServerApp.ip = '0.0.0.0'\n",
    );
    let record = job.wait_ready();
    assert_eq!(http::get(&record, "/mine/api/status").0, 200);
    assert_eq!(http::ask("GET", &record, "/mine/api/status", None).0, 403);
    assert_eq!(record["ip"], "127.0.0.1");
    job.stop();
}

#[test]
fn a_token_of_the_users_is_named() {
    assert_refused(
        "c.IdentityProvider.token = 'my own'",
        "error: jupyter answers 403 to the token that ipjob gave it",
    );
}

#[test]
fn a_server_that_asks_for_no_token_is_refused() {
    assert_refused(
        "c.ServerApp.token = ''\nc.ServerApp.password = ''",
        "error: jupyter answers without a token: everybody on this machine could use it",
    );
}

#[test]
fn a_server_that_speaks_https_is_refused() {
    let place = Place::empty();
    let pem = place.dir().join("server.pem");
    let made = place
        .command(needed!(program(&["/usr/bin"], &["openssl"])))
        .args("req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost".split(' '))
        .arg("-keyout")
        .arg(&pem)
        .arg("-out")
        .arg(place.dir().join("certificate.pem"))
        .output();
    assert!(
        made.as_ref().is_ok_and(|output| output.status.success()),
        "{made:?}"
    );
    assert_refused(
        &format!(
            "c.ServerApp.keyfile = '{}'\nc.ServerApp.certfile = '{}'",
            pem.display(),
            place.dir().join("certificate.pem").display()
        ),
        "error: jupyter speaks https",
    );
}

fn assert_refused(lines: &str, error: &str) {
    let venv = needed!(venv("main"));
    let (_place, mut job) = configured(&venv, lines);
    let (code, transcript) = job.finish();
    assert_eq!(code, 3, "{transcript}");
    assert!(transcript.contains(error), "{transcript}");
    assert!(
        transcript.contains("jupyter_server_config"),
        "the file is named: {transcript}"
    );
    job.assert_nothing_left();
}

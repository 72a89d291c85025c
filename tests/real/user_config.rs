//! The user's own Jupyter configuration: it works, or the error names it. It never opens the server to others.

use super::http;
use crate::support::{Job, Place, binary, program, venv};
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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

/// What the Jupyter app of a centre's portal (Ohio Supercomputer Center) writes for its server, but for the port, which is another's here.
const OF_A_PORTAL: &str = "\
c.KernelSpecManager.ensure_native_kernel = False
c.NotebookApp.ip = '*'
c.NotebookApp.port = PORT
c.NotebookApp.base_url = '/node/n1/PORT/'
c.NotebookApp.port_retries = 0
c.NotebookApp.password = u'sha1:abcdefgh12345678:39fb1b4bd2ab7a15a3ba5b3c6c5c1b4d3e4f1a2b'
c.NotebookApp.open_browser = False
c.NotebookApp.allow_origin = '*'
c.NotebookApp.notebook_dir = '/'
c.NotebookApp.disable_check_xsrf = True
";

/// The line of docs/hubs.md with which such an app starts ipjob.
fn line_of_a_portal() -> String {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/hubs.md"));
    let page = page.expect("the page");
    let line = page.lines().find(|line| line.starts_with("exec ipjob"));
    line.expect("the line").to_owned()
}

#[test]
fn an_address_and_a_port_of_the_old_server_are_overruled() {
    for (venv_name, frontend) in [("main", "lab"), ("nb6", "notebook")] {
        let venv = needed!(venv(venv_name));
        let place = Place::with_venv(&venv);
        let other = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let other = other.local_addr().expect("bound").port().to_string();
        let file = place.dir().join("config.py");
        fs::write(&file, OF_A_PORTAL.replace("PORT", &other)).expect("a file");
        let own = crate::support::free_ports(1);
        let own = own.split('-').next().expect("a port");
        let programs = binary()
            .parent()
            .expect("a directory")
            .display()
            .to_string();
        let mut command = place.command("sh");
        command
            .args([
                "-c",
                &format!("PATH={programs}:$PATH\n{}", line_of_a_portal()),
            ])
            .env("port", own)
            .env("CONFIG_FILE", &file)
            .env("IPJOB_FRONTEND", frontend)
            .env("IPJOB_ENGINES", "1");
        let mut job = Job::spawn(&place, "job_local", command);
        let record = job.wait_ready();
        assert_eq!(record["ip"], "127.0.0.1");
        assert_eq!(record["port"].to_string(), own);
        let port = record["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        let port = port.expect("a port");
        // All of 127.0.0.0/8 is this machine.
        let elsewhere = TcpStream::connect((Ipv4Addr::new(127, 0, 0, 2), port));
        assert!(elsewhere.is_err(), "it listens on all addresses");
        let status = format!("/node/n1/{other}/api/status");
        assert_eq!(http::get(&record, &status).0, 200);
        job.stop();
    }
}

#[test]
fn a_front_end_that_listens_elsewhere_is_refused_at_once() {
    let venv = needed!(venv("main"));
    for (line, error) in [
        (
            "c.NotebookApp.ip = '*'",
            "jupyter listens on all addresses of this machine, not only on 127.0.0.1",
        ),
        ("c.NotebookApp.port = 0", "jupyter serves port "),
    ] {
        let place = Place::with_venv(&venv);
        // No script of Python's, so that nothing of ipjob's runs in it.
        place.script(
            "jupyter-lab",
            &format!("exec {}/bin/jupyter-lab \"$@\"", venv.display()),
        );
        fs::write(place.dir().join("config.py"), line).expect("a file");
        let mut job = Job::start(
            &place,
            &["--mode=notebook", "-n1", "--", "--config=config.py"],
        );
        job.fails(3, &[error, "jupyter_notebook_config"]);
    }
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

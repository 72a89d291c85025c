//! What a browser that knows Jupyter tells to servers on other ports of the same host name, and what Jupyter tells who does not know its path.

use super::{Bob, JUPYTERS, Notebook, as_bob};
use crate::healing::{child_of, send, wait_replaced};
use crate::real::{http, python};
use crate::support::{Needed, program};
use nix::sys::signal::Signal;
use serde_json::Value;
use std::net::{Ipv4Addr, TcpStream};

const LINKED: &str = include_str!("linked.py");

/// What another user's server hears from a browser that opened Jupyter's page and follows a link to him, as text; and the path of the page.
fn told_to_a_linked_server(frontend: &[&str]) -> Needed<(String, String)> {
    program(
        &["/usr/bin"],
        &["chromium", "chromium-browser", "google-chrome"],
    )?;
    let mut bob = as_bob(LINKED)?;
    let mut notebook = Notebook::start("main", frontend)?;
    let mut bob = Bob::start(&mut bob);
    let url = notebook.record["url"].as_str().expect("a url");
    let link = format!("http://127.0.0.1:{}/his", bob.line());
    let (place, venv) = (&notebook.place, &notebook.venv);
    let seen = python::ask(place, venv, "../security/follow.py", &[url, &link]);
    // The browser holds the session, and it works.
    assert_eq!(seen, serde_json::json!({"cookies": 1, "status": 200}));
    let heard = bob.end();
    assert!(
        heard.iter().any(|line| line.contains("\"/his\"")),
        "{heard:?}"
    );
    let base = http::base(&notebook.record);
    notebook.job.stop();
    Ok((heard.join("\n"), base))
}

#[test]
fn a_browser_tells_a_server_on_another_port_neither_the_session_nor_the_path() {
    for frontend in ["lab", "notebook"] {
        let (heard, base) = needed!(told_to_a_linked_server(&["--frontend", frontend]));
        assert!(base.len() > 16, "{base}");
        assert!(
            !heard.contains("username-") && !heard.contains(base.trim_matches('/')),
            "{heard}"
        );
    }
    // Without a path of its own, Jupyter's session is everybody's.
    let (heard, base) = needed!(told_to_a_linked_server(&["--", "--ServerApp.base_url=/"]));
    assert_eq!(base, "/");
    assert!(heard.contains("username-"), "{heard}");
}

/// The whole answer to a request.
fn answer(record: &Value, path: &str, host: &str) -> String {
    use std::io::{Read, Write};
    let port = record["port"]
        .as_u64()
        .and_then(|port| u16::try_from(port).ok());
    let address = (Ipv4Addr::LOCALHOST, port.expect("a port"));
    let mut stream = TcpStream::connect(address).expect("jupyter listens");
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n").expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("an answer");
    text
}

#[test]
fn who_does_not_know_jupyters_path_learns_it_nowhere() {
    for (name, frontend) in JUPYTERS {
        let arguments = ["--frontend", frontend];
        let Notebook {
            place: _place,
            mut job,
            record,
            ..
        } = needed!(Notebook::start(name, &arguments));
        let base = http::base(&record);
        let path = base.trim_matches('/');
        assert_eq!(path.len(), 16, "{base}");
        for asked in [
            "/",
            "/lab",
            "/tree",
            "/login",
            "/api",
            "/api/status",
            "/static/favicon.ico",
            "/x",
            "//x",
            "/..",
        ] {
            for host in ["127.0.0.1", "evil.example"] {
                let text = answer(&record, asked, host);
                assert!(text.starts_with("HTTP/1.1 404"), "{asked}: {text}");
                assert!(!text.contains(path), "{asked}: {text}");
            }
        }
        let foreign = answer(&record, &format!("{base}api"), "evil.example");
        assert!(foreign.starts_with("HTTP/1.1 403"), "{foreign}");
        // Nor from what all may see of the processes, or from what the job printed.
        for pid in super::processes(&record) {
            let line = crate::support::command_line(pid);
            assert!(!line.contains(path), "{line}");
        }
        assert_eq!(http::get(&record, "/api/status").0, 200);
        // Nor from the last lines of Jupyter's log, which are printed when it dies and tell of each request that was refused.
        let refused = format!("{base}api/contents/x");
        assert_eq!(
            answer(&record, &refused, "127.0.0.1").get(9..12),
            Some("403")
        );
        send(child_of(job.pid(), "jupyter-"), Signal::SIGKILL);
        job.wait_line("last lines of ");
        wait_replaced(&job, "jupyter", 1);
        let transcript = job.stop();
        assert!(transcript.contains("<secret>"), "{transcript}");
        assert!(!transcript.contains(path), "{transcript}");
    }
}

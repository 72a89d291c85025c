//! Jupyter is ready when GET /api/status answers 200 to our token, and to nobody without it. Before the token is sent, the
//! listener must be our own child's: another user's program could sit on the port.

use super::{Lack, pause};
use crate::failure::Failure;
use crate::here::{process, sockets};
use crate::plan::Plan;
use crate::plan::service::Name;
use crate::supervisor::event::Event;
use crate::supervisor::http;
use crate::supervisor::notice::{Answer, Notice, Sender};
use serde::Deserialize;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is looked at.
struct Probe {
    pid: u32,
    address: Ipv4Addr,
    port: u16,
    runtime: PathBuf,
    token: String,
}

/// The part of `jpserver-PID.json` (`nbserver-PID.json` of classic Notebook) that matters.
#[derive(Debug, Deserialize)]
struct ServerFile {
    port: u16,
    base_url: String,
    /// Whether it speaks https.
    #[serde(default)]
    secure: bool,
}

/// What one look tells.
enum Look {
    /// Not ready, and what it still lacks.
    NotYet(String),
    /// It can never become ready.
    Broken(Failure),
    Ready(Answer),
}

/// Watches a Jupyter that starts.
pub fn watch_start(plan: &Plan, pid: u32, port: u16, sender: Sender) {
    let probe = Probe {
        pid,
        address: plan.jupyter_address,
        port,
        runtime: plan.profile.jupyter_runtime(),
        token: plan.secrets.token.reveal().to_owned(),
    };
    tokio::spawn(async move {
        let mut lack = Lack::of(Name::Jupyter);
        while !sender.is_closed() && process::stat(pid).is_some_and(|stat| stat.runs()) {
            let begin = Instant::now();
            let look = match probe.listening() {
                Ok(server) => {
                    // Told before the request: that it is never answered is the likeliest cause of a late start.
                    lack.tell(
                        format!("GET {} is not answered", status_path(&server)),
                        &sender,
                    );
                    probe.ask(server).await
                }
                Err(what) => Look::NotYet(what),
            };
            let found = match look {
                Look::Ready(answer) => Notice::JupyterAnswers(answer),
                Look::Broken(failure) => Notice::Event(Event::Broken {
                    service: Name::Jupyter,
                    failure,
                }),
                Look::NotYet(what) => {
                    lack.tell(what, &sender);
                    pause(begin).await;
                    continue;
                }
            };
            let _ = sender.send(found);
            return;
        }
    });
}

impl Probe {
    /// What the server says about itself, once our own child listens; before, what is lacking.
    fn listening(&self) -> Result<ServerFile, String> {
        let port = self.port;
        let server = server_file(&self.runtime, port).ok_or_else(|| {
            format!(
                "it has not written that it serves port {port} (jpserver-*.json in {})",
                self.runtime.display()
            )
        })?;
        let mut tree = process::descendants(self.pid);
        tree.insert(self.pid);
        if !sockets::Listening::of(tree).answers(self.address, port) {
            return Err(format!("it does not listen on port {port}"));
        }
        Ok(server)
    }

    async fn ask(&self, server: ServerFile) -> Look {
        if server.secure {
            return Look::Broken(configured(
                "jupyter speaks https, and everything that ipjob tells people and programs is http",
                "a certfile",
            ));
        }
        let path = status_path(&server);
        match self.status(&path, Some(&self.token)).await {
            Ok(200) => {}
            Ok(status @ (401 | 403)) => {
                return Look::Broken(configured(
                    format!("jupyter answers {status} to the token that ipjob gave it"),
                    "a token or password",
                ));
            }
            Ok(status) => return Look::NotYet(format!("GET {path} is answered with {status}")),
            Err(error) => return Look::NotYet(format!("GET {path} is not answered: {error}")),
        }
        // An empty token in the user's configuration turns authentication off, and lets this node's other users in.
        match self.status(&path, None).await {
            Ok(200) => Look::Broken(configured(
                "jupyter answers without a token: everybody on this machine could use it",
                "an empty token",
            )),
            Ok(_) => Look::Ready(Answer {
                port: self.port,
                base_url: server.base_url,
            }),
            Err(error) => Look::NotYet(format!("GET {path} is not answered: {error}")),
        }
    }

    async fn status(&self, path: &str, token: Option<&str>) -> io::Result<u16> {
        http::get_status(self.address, self.port, path, token).await
    }
}

/// A failure that `what` in the user's own configuration of Jupyter causes.
fn configured(message: impl Into<String>, what: &str) -> Failure {
    Failure::not_ready(message).hint(format!(
        "{what} in your Jupyter configuration (jupyter_server_config.py or .json; jupyter_notebook_config.* of the classic Notebook) replaces what ipjob sets: remove it; `jupyter --paths` shows where it may lie"
    ))
}

fn status_path(server: &ServerFile) -> String {
    format!("{}api/status", server.base_url)
}

/// What the server on this port wrote about itself. The runtime directory is new with every life, so the file is this
/// server's, or that of a first try on another port; it is read again while it is being written.
fn server_file(runtime: &Path, port: u16) -> Option<ServerFile> {
    fs::read_dir(runtime)
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (name.starts_with("jpserver-") || name.starts_with("nbserver-"))
                && name.ends_with(".json")
        })
        .filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
        .find(|server: &ServerFile| server.port == port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_first_try_does_not_hide_the_servers() {
        let runtime = tempfile::tempdir().expect("a directory");
        for (pid, port) in [(1, 8001), (2, 8002), (3, 8003)] {
            let text = format!(r#"{{"port": {port}, "base_url": "/"}}"#);
            fs::write(runtime.path().join(format!("jpserver-{pid}.json")), text).expect("a file");
        }
        for port in 8001..=8003 {
            let found = server_file(runtime.path(), port);
            assert!(found.is_some_and(|server| server.port == port));
        }
        assert!(server_file(runtime.path(), 8004).is_none());
    }
}

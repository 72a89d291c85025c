//! Jupyter is ready when GET /api/status answers 200 to our token. Before the token is sent, the listener must be our own
//! child's: another user's program could sit on the port.

use super::pause;
use crate::failure::Failure;
use crate::here::{process, sockets};
use crate::plan::Plan;
use crate::plan::service::Name;
use crate::supervisor::event::Event;
use crate::supervisor::http;
use crate::supervisor::notice::{Answer, Notice, Sender};
use serde::Deserialize;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What is looked at.
struct Probe {
    pid: u32,
    port: u16,
    runtime: PathBuf,
    token: String,
}

/// The part of `jpserver-PID.json` (`nbserver-PID.json` of classic Notebook) that matters.
#[derive(Debug, Deserialize)]
struct ServerFile {
    port: u16,
    base_url: String,
}

/// Watches a Jupyter that starts.
pub fn watch_start(plan: &Plan, pid: u32, port: u16, sender: Sender) {
    let probe = Probe {
        pid,
        port,
        runtime: plan.profile.jupyter_runtime(),
        token: plan.secrets.token.reveal().to_owned(),
    };
    tokio::spawn(async move {
        while !sender.is_closed() && process::stat(pid).is_some_and(|stat| stat.runs()) {
            let begin = Instant::now();
            match probe.look().await {
                Ok(Some(answer)) => {
                    let _ = sender.send(Notice::JupyterAnswers(answer));
                    return;
                }
                Ok(None) => pause(begin).await,
                Err(failure) => {
                    let event = Event::Broken {
                        service: Name::Jupyter,
                        failure,
                    };
                    let _ = sender.send(Notice::Event(event));
                    return;
                }
            }
        }
    });
}

impl Probe {
    /// The answer once it is there, `None` before, a failure when it cannot come.
    async fn look(&self) -> Result<Option<Answer>, Failure> {
        let Some(server) = server_file(&self.runtime).filter(|server| server.port == self.port)
        else {
            return Ok(None);
        };
        let mut tree = process::descendants(self.pid);
        tree.insert(self.pid);
        if !sockets::Listening::of(tree).ours(self.port) {
            return Ok(None);
        }
        let path = format!("{}api/status", server.base_url);
        match http::get_status(Ipv4Addr::LOCALHOST, self.port, &path, &self.token).await {
            Ok(200) => Ok(Some(Answer {
                port: self.port,
                base_url: server.base_url,
            })),
            Ok(status @ (401 | 403)) => Err(Failure::not_ready(format!(
                "jupyter answers {status} to the token that ipjob gave it"
            ))
            .hint("a token or password in your Jupyter configuration replaces ours: remove it (`jupyter --paths` shows where)")),
            _ => Ok(None),
        }
    }
}

/// What the server wrote about itself. The runtime directory is new with every life, so the file is this server's; it is
/// read again while it is being written.
fn server_file(runtime: &Path) -> Option<ServerFile> {
    fs::read_dir(runtime)
        .ok()?
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (name.starts_with("jpserver-") || name.starts_with("nbserver-"))
                && name.ends_with(".json")
        })
        .find_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok())
}

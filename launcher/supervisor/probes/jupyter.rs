//! Jupyter is ready when GET /api/status answers 200 to our token, and to nobody without it. Where ipjob listens itself, nobody can
//! get the token but whom it has handed the socket. Else, before the token is sent, the
//! listener must be our own child's: another user's program could sit on the port.

use super::{Lack, pause};
use crate::failure::Failure;
use crate::here::os::own_time::OwnTime;
use crate::here::os::{http, process, sockets};
use crate::here::profile::ports::{Hold, Reservation};
use crate::plan::Plan;
use crate::plan::name::Name;
use crate::plan::text::Text;
use crate::supervisor::file_thread;
use crate::supervisor::notice::{Answer, Notice, Sender, Use};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// What is asked for. Texts call it so: what comes before it is the path that others must not know.
const STATUS: &str = "api/status";

/// What is looked at.
pub struct Probe {
    pid: u32,
    address: Ipv4Addr,
    port: u16,
    hold: Hold,
    runtime: PathBuf,
    token: String,
}

/// The part of `jpserver-PID.json` (`nbserver-PID.json` of classic Notebook) that matters.
#[derive(Clone, Debug, Deserialize)]
struct ServerFile {
    port: u16,
    base_url: String,
    /// The process that wrote it.
    #[serde(default)]
    pid: u32,
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
pub fn watch_start(probe: Probe, sender: Sender) {
    let pid = probe.pid;
    file_thread::spawn(async move {
        let mut lack = Lack::of(Name::Jupyter);
        while !sender.is_closed() && process::stat(pid).is_some_and(|stat| stat.runs()) {
            let begin = OwnTime::now();
            let look = match probe.listening() {
                Ok(server) => {
                    // Told before the request: that it is never answered is the likeliest cause of a late start.
                    lack.tell(format!("GET {STATUS} is not answered"), &sender);
                    probe.ask(server).await
                }
                Err(look) => look,
            };
            let found = match look {
                Look::Ready(answer) => Notice::JupyterAnswers(answer),
                Look::Broken(failure) => Notice::Broken {
                    service: Name::Jupyter,
                    pid,
                    ended: false,
                    failure,
                },
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

/// The part of `GET /api/status` that matters here.
#[derive(Debug, Deserialize)]
struct Status {
    last_activity: String,
}

/// The part of a kernel in `GET /api/kernels` that matters here.
#[derive(Debug, Deserialize)]
struct Kernel {
    #[serde(default)]
    execution_state: String,
}

impl Probe {
    /// What is needed to look at this process on the port that is held for it.
    pub fn new(plan: &Plan, pid: u32, held: &Reservation, token: &Text) -> Self {
        Self {
            pid,
            address: plan.jupyter_address,
            port: held.port,
            hold: held.hold,
            runtime: plan.profile.jupyter_runtime(),
            token: token.reveal().to_owned(),
        }
    }

    /// How it is used; `None` when it does not tell. Neither question counts as use itself.
    pub async fn usage(&self) -> Option<Use> {
        let server = self.listening().ok()?;
        let status = self.body(&status_path(&server)).await?;
        let status: Status = serde_json::from_slice(&status).ok()?;
        let kernels = format!("{}api/kernels?no_track_activity=1", server.base_url);
        let kernels: Vec<Kernel> = serde_json::from_slice(&self.body(&kernels).await?).ok()?;
        Some(Use {
            last: status.last_activity,
            busy: kernels.iter().any(|one| one.execution_state == "busy"),
        })
    }

    async fn body(&self, path: &str) -> Option<Vec<u8>> {
        let (code, body) = http::get(self.address, self.port, path, Some(&self.token))
            .await
            .ok()?;
        (code == 200).then_some(body)
    }

    /// What the server says about itself, once nobody but our own child can answer; before, what is lacking.
    fn listening(&self) -> Result<ServerFile, Look> {
        let port = self.port;
        let servers = servers(&self.runtime);
        let Some(server) = servers.iter().find(|server| server.port == port) else {
            let tree = self.tree();
            return Err(
                match servers.iter().find(|server| tree.contains(&server.pid)) {
                    Some(own) => Look::Broken(configured(
                        format!(
                            "jupyter serves port {}, not {port}, which ipjob gave it",
                            own.port
                        ),
                        "a port or sock",
                    )),
                    None => Look::NotYet(format!(
                        "it has not written that it serves port {port} (jpserver-*.json in {})",
                        self.runtime.display()
                    )),
                },
            );
        };
        if self.hold == Hold::Bound {
            let listening = sockets::Listening::of(self.tree());
            if !listening.answers(self.address, port) {
                return Err(Look::NotYet(format!("it does not listen on port {port}")));
            }
            if listening.everywhere(port) && !self.address.is_unspecified() {
                return Err(Look::Broken(configured(
                    format!(
                        "jupyter listens on all addresses of this machine, not only on {}",
                        self.address
                    ),
                    "an ip",
                )));
            }
        }
        Ok(server.clone())
    }

    /// Jupyter's processes.
    fn tree(&self) -> BTreeSet<u32> {
        let mut tree = process::descendants(self.pid);
        tree.insert(self.pid);
        tree
    }

    async fn ask(&self, server: ServerFile) -> Look {
        if server.secure {
            return Look::Broken(configured(
                "jupyter speaks https, but every address that ipjob gives out is http",
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
            Ok(status) => return Look::NotYet(format!("GET {STATUS} is answered with {status}")),
            Err(error) => return Look::NotYet(format!("GET {STATUS} is not answered: {error}")),
        }
        // An empty token in the user's configuration turns authentication off, and lets this node's other users in.
        match self.status(&path, None).await {
            Ok(200) => Look::Broken(configured(
                "jupyter answers without a token: everybody on this machine could use it",
                "an empty token",
            )),
            Ok(_) => Look::Ready(Answer {
                pid: self.pid,
                port: self.port,
                base_url: server.base_url,
            }),
            Err(error) => Look::NotYet(format!("GET {STATUS} is not answered: {error}")),
        }
    }

    async fn status(&self, path: &str, token: Option<&str>) -> io::Result<u16> {
        http::get_status(self.address, self.port, path, token).await
    }
}

/// A failure that `what` in the user's own configuration of Jupyter causes.
fn configured(message: impl Into<String>, what: &str) -> Failure {
    Failure::not_ready(message).hint(format!(
        "{what} in your Jupyter configuration (jupyter_server_config.py or .json; jupyter_notebook_config.* of the classic Notebook) replaces what ipjob sets: remove it; `jupyter --paths` shows where it may be"
    ))
}

fn status_path(server: &ServerFile) -> String {
    format!("{}{STATUS}", server.base_url)
}

/// What servers wrote about themselves. The runtime directory is new with every life of ipjob, so a file is this server's, that of one before it, which
/// had the same path, or that of a server on another port that the user has started from a terminal; it is read again while it is being
/// written.
fn servers(runtime: &Path) -> Vec<ServerFile> {
    fs::read_dir(runtime)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (name.starts_with("jpserver-") || name.starts_with("nbserver-"))
                && name.ends_with(".json")
        })
        .filter_map(|entry| ServerFile::read(&fs::read(entry.path()).ok()?))
        .collect()
}

impl ServerFile {
    /// Reads such a file; `None` while it is cut, and for a base URL that is no path: it goes into a request that carries the
    /// token, and into the URL that people open.
    fn read(text: &[u8]) -> Option<Self> {
        let server: Self = serde_json::from_slice(text).ok()?;
        let base_url = &server.base_url;
        let is_path = base_url.starts_with('/')
            && base_url.ends_with('/')
            && !base_url.starts_with("//")
            && !base_url
                .contains(|c: char| c.is_control() || c.is_whitespace() || "?#".contains(c));
        is_path.then_some(server)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_servers_of_the_directory_are_found() {
        let runtime = tempfile::tempdir().expect("a directory");
        for (pid, port) in [(1, 8001), (2, 8002), (3, 8003)] {
            let text = format!(r#"{{"port": {port}, "base_url": "/"}}"#);
            fs::write(runtime.path().join(format!("jpserver-{pid}.json")), text).expect("a file");
        }
        let mut found: Vec<u16> = servers(runtime.path())
            .iter()
            .map(|server| server.port)
            .collect();
        found.sort_unstable();
        assert_eq!(found, [8001, 8002, 8003]);
    }

    mod fuzz {
        use super::super::{ServerFile, status_path};
        use proptest::collection::vec;
        use proptest::prelude::*;
        use serde_json::json;

        proptest! {
            #[test]
            fn a_servers_file_is_read_whole_or_not_at_all(port in 1..=u16::MAX, base in "/([a-z0-9~_.-]{1,9}/){0,3}", secure: bool, cut in 0..100_usize) {
                let text = json!({"base_url": base, "hostname": "n1", "password": false, "pid": 7, "port": port,
                    "secure": secure, "token": "t", "version": "2.21.1"}).to_string();
                let server = ServerFile::read(text.as_bytes());
                prop_assert!(server.is_some_and(|found| found.port == port && found.base_url == base && found.secure == secure));
                let length = (text.len() - 1) * cut / 100;
                prop_assert!(ServerFile::read(&text.as_bytes()[..length]).is_none());
            }

            #[test]
            fn no_base_url_adds_to_the_request(base in "(/|)(\\PC|[\r\n\t ?#@/:\\\\]){0,12}(/|)") {
                let text = json!({"base_url": base, "port": 1}).to_string();
                if let Some(server) = ServerFile::read(text.as_bytes()) {
                    let path = status_path(&server);
                    prop_assert!(path.starts_with('/') && path.ends_with("/api/status"));
                    prop_assert!(!path.contains([' ', '\r', '\n', '?', '#']), "{:?}", path);
                }
            }

            #[test]
            fn no_bytes_make_it_panic(text in vec(any::<u8>(), 0..200)) {
                let _ = ServerFile::read(&text);
            }
        }
    }
}
